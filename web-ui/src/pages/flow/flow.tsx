// Flow: who sends what to whom now, as a picture and as a table.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { useResource } from "../../api/resource.ts";
import type { Flow as FlowValue, FlowEdge, FlowNode } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { bytes, count } from "../../logic/format.ts";
import { curve, layOut, type Sizes } from "../../logic/graph.ts";
import { link } from "../../router.ts";
import { Badge, Card, Empty, Loaded, PageHead } from "../../ui/parts.tsx";
import { TONES } from "../../ui/severity.ts";
import { Table } from "../../ui/table.tsx";

const SIZES: Sizes = { nodeWidth: 178, nodeHeight: 54, columnGap: 96, rowGap: 18 };
const LETTERS_MAX = 22;
// Left to right as data goes: who makes it, the box, where it rests, where it leaves to.
const COLUMNS: Record<FlowNode["kind"], number> = { device: 0, client: 0, group: 0, service: 0, box: 1, stream: 2, uplink: 3, bridge: 3 };

export function Flow(): JSX.Element {
  const flow = useResource("GET /flow", {}, { everyMs: 2000 });
  return (
    <>
      <PageHead title={t("Flow")}>{t("Where data comes from and where it goes, now. A line moves while messages pass.")}</PageHead>
      <Loaded resource={flow}>
        {(value) =>
          value.nodes.length === 0 ? (
            <Card>
              <Empty icon="flow" title={t("Nothing is connected yet")} action={<a class="button primary" href={link(["devices"])}>{t("Add a device")}</a>}>
                {t("As soon as a device or a program connects, it appears here.")}
              </Empty>
            </Card>
          ) : (
            <>
              <Card>
                <Picture flow={value} />
              </Card>
              <Card title={t("The same as a table")}>
                <Edges flow={value} />
              </Card>
            </>
          )
        }
      </Loaded>
    </>
  );
}

function Picture({ flow }: { flow: FlowValue }): JSX.Element {
  const shape = JSON.stringify([flow.nodes.map((node) => node.id), flow.edges.map((edge) => [edge.source, edge.target])]);
  const layout = useMemo(
    () =>
      layOut(
        flow.nodes.map((node) => ({ id: node.id, column: columnOf(node, flow.edges) })),
        flow.edges.map((edge) => ({ from: edge.source, to: edge.target })),
        SIZES,
      ),
    [shape],
  );
  const severities = new Map(flow.nodes.map((node) => [node.id, node.severity]));
  return (
    <div class="flow" tabIndex={0} role="region" aria-label={t("Flow")}>
      <svg viewBox={`-6 -6 ${layout.width + 12} ${layout.height + 12}`} role="img" aria-label={t("{nodes} participants, {edges} flows; the table below has the same numbers.", { nodes: flow.nodes.length, edges: flow.edges.length })}>
        {flow.edges.map((edge) => {
          const from = layout.places.get(edge.source);
          const to = layout.places.get(edge.target);
          if (!from || !to) return null;
          const isStalled = severities.get(edge.target) === "critical";
          return (
            <g key={`${edge.source}>${edge.target}`}>
              <path d={from.x < to.x ? curve(from, to, SIZES) : curve(to, from, SIZES)} class={`flow-edge${edge.messages_per_s > 0 ? " is-moving" : ""}${isStalled ? " bad" : ""}`} />
              {edge.messages_per_s > 0 && (
                <text class="flow-rate" text-anchor="middle" x={(from.x + SIZES.nodeWidth + to.x) / 2} y={(from.y + to.y + SIZES.nodeHeight) / 2 - 6}>
                  {count(edge.messages_per_s)}/s
                </text>
              )}
            </g>
          );
        })}
        {flow.nodes.map((node) => {
          const at = layout.places.get(node.id);
          if (!at) return null;
          const tone = node.severity === "info" ? "" : TONES[node.severity];
          return (
            <g key={node.id} transform={`translate(${at.x} ${at.y})`}>
              <rect class={`flow-box ${node.severity === "ok" ? "" : tone}`} width={SIZES.nodeWidth} height={SIZES.nodeHeight} rx="12" />
              <text class="flow-name" x="14" y="23">
                {cut(node.label)}
              </text>
              <text class="flow-note" x="14" y="41">
                {cut(node.detail || t(node.kind), LETTERS_MAX + 4)}
              </text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

/** A client that only receives stands behind the box, beside the streams. */
function columnOf(node: FlowNode, edges: readonly FlowEdge[]): number {
  const column = COLUMNS[node.kind];
  if (column !== 0) return column;
  const sends = edges.some((edge) => edge.source === node.id);
  const takes = edges.some((edge) => edge.target === node.id);
  return takes && !sends ? 2 : 0;
}

function cut(text: string, lettersMax = LETTERS_MAX): string {
  return text.length > lettersMax ? `${text.slice(0, lettersMax - 1)}…` : text;
}

function Edges({ flow }: { flow: FlowValue }): JSX.Element {
  const names = new Map(flow.nodes.map((node) => [node.id, node]));
  const name = (id: string): string => names.get(id)?.label ?? id;
  return (
    <Table
      name={t("Flows")}
      rows={flow.edges}
      rowKey={(edge) => `${edge.source}>${edge.target}`}
      empty={<p class="soft">{t("Nothing moves.")}</p>}
      sortBy={2}
      isDescending
      columns={[
        { name: t("From"), cell: (edge) => name(edge.source) },
        { name: t("To"), cell: (edge) => name(edge.target), show: (edge) => <Target node={names.get(edge.target)} id={edge.target} /> },
        { name: t("Messages/s"), cell: (edge) => edge.messages_per_s, show: (edge) => count(edge.messages_per_s), isNumber: true },
        { name: t("Bytes/s"), cell: (edge) => edge.bytes_per_s, show: (edge) => bytes(edge.bytes_per_s), isNumber: true },
        { name: t("What"), cell: (edge) => edge.label },
      ]}
    />
  );
}

function Target({ node, id }: { node: FlowNode | undefined; id: string }): JSX.Element {
  return (
    <span class="row">
      {node?.label ?? id}
      {node && node.severity !== "ok" && node.severity !== "info" && <Badge tone={TONES[node.severity]}>{node.detail || t(node.severity)}</Badge>}
    </span>
  );
}
