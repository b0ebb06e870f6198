// System: the machine, its flash, its clock, and backups.
import type { JSX } from "preact";
import { useResource } from "../../api/resource.ts";
import type { System as SystemValue } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { bytes, duration, short } from "../../logic/format.ts";
import { may } from "../../session.ts";
import { HistoryCard } from "../../ui/history_chart.tsx";
import { Badge, Card, Facts, Loaded, Meter, PageHead, type Tone } from "../../ui/parts.tsx";
import { Backups } from "./backups.tsx";

// Where a Raspberry Pi begins to slow itself down, and the warning before.
const HOT_C = 80;
const WARM_C = 70;
// A clock this far from the browser's is worth a look: certificates and timestamps suffer.
const CLOCK_OFF_S = 60;

export function System(): JSX.Element {
  const system = useResource("GET /system", {}, { everyMs: 3000 });
  return (
    <>
      <PageHead title={t("System")}>{t("The machine this box runs on. What cannot be measured here says so.")}</PageHead>
      <Loaded resource={system}>
        {(value) => (
          <div class="grid">
            <Machine system={value} />
            <Flash system={value} />
            <Clock system={value} />
          </div>
        )}
      </Loaded>
      <div class="grid">
        <HistoryCard title={t("Processor")} series={["machine_cpu", "cpu"]} heightPx={170} />
        <HistoryCard title={t("Memory")} series={["machine_memory_bytes", "memory_bytes"]} heightPx={170} />
        <HistoryCard title={t("Temperature")} series={["temperature"]} heightPx={170} />
        <HistoryCard title={t("Written to flash")} series={["device_bytes", "log_bytes"]} heightPx={170} />
      </div>
      {may("admin") && <Backups />}
    </>
  );
}

function known<Value>(value: Value | null | undefined, write: (value: Value) => JSX.Element | string): JSX.Element | string {
  return value === null || value === undefined ? <span class="soft">{t("not measurable here")}</span> : write(value);
}

function Machine({ system }: { system: SystemValue }): JSX.Element {
  const memoryUsed = system.memory_total_bytes && system.memory_available_bytes ? 1 - system.memory_available_bytes / system.memory_total_bytes : null;
  const heat = (value: number): Tone => (value >= HOT_C ? "bad" : value >= WARM_C ? "warn" : "ok");
  return (
    <Card title={system.hostname || t("Machine")}>
      {memoryUsed !== null && <Meter share={memoryUsed} label={t("Memory in use")} />}
      <Facts
        rows={[
          [t("Model"), system.machine || "–"],
          [t("Processor"), known(system.machine_cpu_percent, (value) => `${short(value)} %${system.cpu_count ? ` · ${t("{count} cores", { count: system.cpu_count })}` : ""}`)],
          [t("Processor of the server"), known(system.cpu_percent, (value) => `${short(value)} %`)],
          [t("Memory free"), known(system.memory_available_bytes, (value) => `${bytes(value)}${system.memory_total_bytes ? ` ${t("of {all}", { all: bytes(system.memory_total_bytes) })}` : ""}`)],
          [t("Memory of the server"), known(system.core_rss_bytes, bytes)],
          [t("Memory of this page's process"), known(system.web_rss_bytes, bytes)],
          [t("Temperature"), known(system.temperature_c, (value) => <Badge tone={heat(value)}>{short(value)} °C</Badge>)],
          [t("Power supply"), known(system.undervoltage, (value) => <Badge tone={value ? "bad" : "ok"}>{value ? t("too weak") : t("good")}</Badge>)],
          [t("Up for"), known(system.uptime_s, duration)],
        ]}
      />
    </Card>
  );
}

function Flash({ system: { disk } }: { system: SystemValue }): JSX.Element {
  const used = disk.total_bytes && disk.free_bytes !== null && disk.free_bytes !== undefined ? 1 - disk.free_bytes / disk.total_bytes : null;
  return (
    <Card title={t("Flash")}>
      {used !== null && <Meter share={used} label={t("Flash in use")} />}
      <Facts
        rows={[
          [t("Device"), disk.device || "–"],
          [t("Free"), known(disk.free_bytes, (value) => `${bytes(value)}${disk.total_bytes ? ` ${t("of {all}", { all: bytes(disk.total_bytes) })}` : ""}`)],
          [t("Used by the store"), known(disk.store_bytes, bytes)],
          [t("Written since the start"), known(disk.written_bytes, bytes)],
          [t("Written by the device in its life"), known(disk.device_written_bytes, bytes)],
          [t("Life used"), known(disk.life_used_percent, (value) => <Badge tone={value > 90 ? "bad" : value > 70 ? "warn" : "ok"}>{short(value)} %</Badge>)],
        ]}
      />
    </Card>
  );
}

function Clock({ system }: { system: SystemValue }): JSX.Element {
  const off = system.time_s ? system.time_s - Date.now() / 1000 : null;
  return (
    <Card title={t("Clock and versions")}>
      <Facts
        rows={[
          [t("Clock of the box"), known(system.time_s, (value) => new Date(value * 1000).toISOString().replace("T", " ").slice(0, 19))],
          [t("Synchronised"), known(system.time_synchronised, (value) => <Badge tone={value ? "ok" : "warn"}>{value ? t("yes") : t("no")}</Badge>)],
          [t("Against this browser"), off === null ? "–" : <Badge tone={Math.abs(off) > CLOCK_OFF_S ? "bad" : "ok"}>{Math.abs(off) < 3 ? t("the same") : duration(off)}</Badge>],
          ...Object.entries(system.versions).map(([name, version]) => [name, version] as const),
        ]}
      />
    </Card>
  );
}
