// A line chart over time with the same numbers as a table. uPlot draws; colours come from the page's tokens.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { language, moment, t } from "../i18n/i18n.ts";
import { theme } from "../theme.ts";
import { Button } from "./parts.tsx";

export interface Series {
  name: string;
  values: readonly (number | null)[];
}

export interface ChartProps {
  title: string;
  /** Seconds since 1970, rising. */
  times: readonly number[];
  series: readonly Series[];
  format: (value: number) => string;
  heightPx?: number;
}

// Rows of the table; the newest are what is looked for, the CSV of the history has them all.
const TABLE_ROWS = 60;
// The first seconds of a young box would be drawn as if they were an hour.
const SPAN_S_MIN = 60;
// Bytes are written in powers of 1024, so their lines stand at powers of two.
const BINARY_STEPS = Array.from({ length: 60 }, (_, power) => 2 ** power);

export function Chart({ title, times, series, format, heightPx = 210 }: ChartProps): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [isTable, setTable] = useState(false);
  const data = [times, ...series.map((each) => each.values)] as unknown as uPlot.AlignedData;
  const shape = `${series.map((each) => each.name).join("\n")}|${theme.value}|${language.value}|${isTable}`;
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const made = new uPlot(options(element, series, format, heightPx), data, element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: heightPx }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(data), [times, series]);
  const last = (values: Series["values"]): string => {
    const value = values.findLast((each) => each !== null);
    return value === undefined || value === null ? "–" : format(value);
  };
  return (
    <figure class="chart">
      <div class="chart-head">
        <figcaption class="legend">
          <span class="visually-hidden">{title}</span>
          {series.map((each, index) => (
            <span key={each.name} class={`series-${index + 1}`}>
              <i />
              <span class="soft">{each.name}</span>
              <b>{last(each.values)}</b>
            </span>
          ))}
        </figcaption>
        <Button icon={isTable ? "live" : "table"} isSmall look="quiet" onPress={() => setTable(!isTable)} label={isTable ? t("Show “{title}” as chart", { title }) : t("Show “{title}” as table", { title })} />
      </div>
      {isTable ? (
        <div class="chart-table" tabIndex={0} role="region" aria-label={title}>
          <table>
            <thead>
              <tr>
                <th scope="col">{t("Time")}</th>
                {series.map((each) => (
                  <th key={each.name} scope="col" class="right">
                    {each.name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {newest(times.length).map((index) => (
                <tr key={index}>
                  <td>{moment((times[index] ?? 0) * 1000)}</td>
                  {series.map((each) => (
                    <td key={each.name} class="right">
                      {each.values[index] === null || each.values[index] === undefined ? "–" : format(each.values[index])}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <div ref={frame} class="chart-canvas" role="img" aria-label={`${title}. ${series.map((each) => `${each.name}: ${last(each.values)}`).join(", ")}`} style={{ minHeight: `${heightPx}px` }} />
      )}
    </figure>
  );
}

function newest(length: number): number[] {
  return Array.from({ length: Math.min(length, TABLE_ROWS) }, (_, index) => length - 1 - index);
}

function options(element: HTMLElement, series: readonly Series[], format: (value: number) => string, height: number): uPlot.Options {
  const style = getComputedStyle(element);
  const color = (index: number): string => resolved(element, `var(--series-${(index % 4) + 1})`);
  const soft = resolved(element, "var(--soft)");
  const line = resolved(element, "var(--line)");
  const font = `11.5px ${style.fontFamily}`;
  const axis = { stroke: soft, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
  return {
    width: Math.max(200, element.clientWidth),
    height,
    cursor: { y: false, drag: { x: true, y: false } },
    scales: { x: { range: (_plot, low, high) => [Math.min(low, high - SPAN_S_MIN), high] }, y: { range: (_plot, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.12 : 1] } },
    axes: [
      { ...axis, size: 30, values: (_plot, ticks) => ticks.map((tick) => clock(tick, ticks)) },
      { ...axis, size: 62, ...(/i?B/.test(format(1)) ? { incrs: BINARY_STEPS } : {}), values: (_plot, ticks) => ticks.map((tick) => format(tick)) },
    ],
    series: [
      {},
      ...series.map((each, index) => ({ label: each.name, stroke: color(index), width: 1.8, points: { show: false }, ...(index === 0 ? { fill: fade(color(0)) } : {}) })),
    ],
  };
}

// A canvas takes no var() and no light-dark(); the browser resolves both on a property of an element.
function resolved(element: HTMLElement, value: string): string {
  const probe = document.createElement("i");
  probe.style.color = value;
  element.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

function fade(color: string): string {
  return color.replace(/^rgb\((.*)\)$/, "rgba($1, 0.1)");
}

function clock(tick: number, ticks: readonly number[]): string {
  const date = new Date(tick * 1000);
  const step = (ticks[1] ?? tick) - (ticks[0] ?? tick);
  if (step >= 86400) return date.toLocaleDateString(language.value, { day: "numeric", month: "short" });
  return date.toLocaleTimeString(language.value, { hour: "2-digit", minute: "2-digit", hour12: false, ...(step < 60 ? { second: "2-digit" } : {}) });
}

/** A line small enough to stand in a table row. */
export function Sparkline({ values, label }: { values: readonly number[]; label: string }): JSX.Element | null {
  if (values.length < 2) return null;
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const points = values.map((value, index) => `${((index / (values.length - 1)) * 96).toFixed(1)},${(24 - ((value - low) / span) * 22).toFixed(1)}`);
  return (
    <svg class="spark" viewBox="0 0 96 26" role="img" aria-label={label}>
      <polyline points={points.join(" ")} fill="none" stroke="currentColor" stroke-width="1.6" stroke-linejoin="round" />
    </svg>
  );
}
