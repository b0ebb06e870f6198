// A chart of the box's own history with the choice of its span.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useResource } from "../api/resource.ts";
import { formatOf, REFRESH_MS, type Span, SPANS } from "../history.ts";
import { t } from "../i18n/i18n.ts";
import { Chart } from "./chart.tsx";
import { Card, Empty, Loaded, Segments } from "./parts.tsx";

const SPAN_NAMES: Record<Span, string> = { "1h": "1 hour", "24h": "24 hours", "30d": "30 days" };

export function HistoryCard({ title, series, heightPx }: { title: string; series: readonly string[]; heightPx?: number }): JSX.Element {
  const [span, setSpan] = useState<Span>("1h");
  const history = useResource("GET /history", { query: { series: [...series], span } }, { everyMs: REFRESH_MS[span] });
  return (
    <Card title={title} actions={<Segments label={t("Span of “{title}”", { title })} value={span} onChange={setSpan} options={SPANS.map((each) => [each, t(SPAN_NAMES[each])] as const)} />}>
      <Loaded resource={history}>
        {(value) => {
          const lines = series.flatMap((name) => value.series.find((each) => each.name === name) ?? []);
          if (!lines.some((line) => line.means.some((each) => each !== null))) return <Empty icon="live" title={t("Nothing measured yet")} />;
          // A young box has no past: its chart begins where its memory does.
          const start = value.times_s.findIndex((_, index) => lines.some((line) => line.means[index] !== null));
          return <Chart title={title} times={value.times_s.slice(start)} series={lines.map((line) => ({ name: t(line.label || line.name), values: line.means.slice(start) }))} format={formatOf(lines[0])} heightPx={heightPx ?? 210} />;
        }}
      </Loaded>
    </Card>
  );
}
