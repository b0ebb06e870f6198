// The frame of all pages: navigation, banner, the page of the current address.
import { signal } from "@preact/signals";
import type { ComponentType, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { isOnline } from "./api/events.ts";
import { useResource } from "./api/resource.ts";
import { LANGUAGES, type Language, language, plural, speak, t } from "./i18n/i18n.ts";
import { Access } from "./pages/access/access.tsx";
import { Config } from "./pages/config/config.tsx";
import { Connections } from "./pages/connections/connections.tsx";
import { Devices } from "./pages/devices/devices.tsx";
import { Flow } from "./pages/flow/flow.tsx";
import { Gate } from "./pages/gate/gate.tsx";
import { Home } from "./pages/home/home.tsx";
import { Keys } from "./pages/keys/keys.tsx";
import { Live } from "./pages/live/live.tsx";
import { Objects } from "./pages/objects/objects.tsx";
import { Records } from "./pages/records/records.tsx";
import { Streams } from "./pages/streams/streams.tsx";
import { System } from "./pages/system/system.tsx";
import { Uplinks } from "./pages/uplinks/uplinks.tsx";
import { link, place } from "./router.ts";
import { account, logOut, session, state } from "./session.ts";
import { choose, THEMES, type Theme, themeChoice } from "./theme.ts";
import { Icon, type IconName, Mark } from "./ui/icons.tsx";
import { Button, Empty } from "./ui/parts.tsx";
import { Toasts } from "./ui/toasts.tsx";

interface PageEntry {
  name: string;
  icon: IconName;
  page: ComponentType;
}

const PAGES: Record<string, PageEntry> = {
  home: { name: "Home", icon: "home", page: Home },
  flow: { name: "Flow", icon: "flow", page: Flow },
  devices: { name: "Devices", icon: "device", page: Devices },
  live: { name: "Live", icon: "live", page: Live },
  streams: { name: "Streams", icon: "stream", page: Streams },
  kv: { name: "Key-value", icon: "key", page: Keys },
  objects: { name: "Objects", icon: "object", page: Objects },
  uplink: { name: "Uplink", icon: "uplink", page: Uplinks },
  connections: { name: "Connections", icon: "connection", page: Connections },
  access: { name: "Access", icon: "access", page: Access },
  system: { name: "System", icon: "system", page: System },
  config: { name: "Configuration", icon: "config", page: Config },
  records: { name: "Logs and audit", icon: "log", page: Records },
};

const GROUPS: readonly (readonly [string | null, readonly string[]])[] = [
  [null, ["home", "flow", "devices", "live"]],
  ["Data", ["streams", "kv", "objects"]],
  ["Links", ["uplink", "connections"]],
  ["This box", ["access", "system", "config", "records"]],
];

const isMenuOpen = signal(false);

export function App(): JSX.Element {
  return (
    <>
      {state.value === "logged-in" ? <Shell /> : <Gate />}
      <Toasts />
    </>
  );
}

function Shell(): JSX.Element {
  const id = place.value.parts[0] ?? "home";
  const entry = PAGES[id];
  const main = useRef<HTMLElement>(null);
  const before = useRef(id);
  useEffect(() => {
    document.title = `${entry ? t(entry.name) : "Leafbox"} · ${session.value?.box_name || "Leafbox"}`;
    isMenuOpen.value = false;
    if (before.current === id) return;
    before.current = id;
    // A reader hears the new page's name; the eye starts at its top.
    main.current?.querySelector("h1")?.focus();
    scrollTo(0, 0);
  }, [id, language.value]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape") isMenuOpen.value = false;
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  const Page = entry?.page;
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(event) => skip(event, main.current)}>
        {t("Skip to the page")}
      </a>
      <header class="top">
        <Button icon="menu" look="quiet" label={t("Menu")} onPress={() => void (isMenuOpen.value = true)} />
        <strong>{entry ? t(entry.name) : "Leafbox"}</strong>
      </header>
      {isMenuOpen.value && <button type="button" class="shade" aria-label={t("Close the menu")} onClick={() => void (isMenuOpen.value = false)} />}
      <Side current={id} />
      <div>
        {!isOnline.value && (
          <div class="offline" role="alert">
            <Icon name="warn" />
            {t("No connection to the box. What you see may be old; the page reconnects by itself.")}
          </div>
        )}
        <main class="page" id="main" tabIndex={-1} ref={main}>
          {Page ? <Page /> : <Empty icon="search" title={t("There is no such page")} action={<a href={link([])}>{t("Home")}</a>} />}
        </main>
      </div>
    </div>
  );
}

function skip(event: Event, main: HTMLElement | null): void {
  event.preventDefault();
  main?.focus();
}

function Side({ current }: { current: string }): JSX.Element {
  const issues = useResource("GET /issues", {}, { document: "issues" });
  const open = issues.value.value?.issues.filter((issue) => issue.severity === "critical" || issue.severity === "warning").length ?? 0;
  const found = session.value;
  const accounts = found?.accounts ?? [];
  return (
    <aside class={`side${isMenuOpen.value ? " is-open" : ""}`} aria-label={t("Menu")}>
      <a class="brand" href={link([])}>
        <Mark />
        <span>
          Leafbox
          <small>{found?.box_name}</small>
        </span>
      </a>
      <nav class="nav" aria-label={t("Pages")}>
        {GROUPS.map(([group, ids]) => [
          group && (
            <span key={group} class="nav-group">
              {t(group)}
            </span>
          ),
          ...ids.map((id) => (
            <a key={id} href={link(id === "home" ? [] : [id])} aria-current={id === current ? "page" : undefined}>
              <Icon name={PAGES[id]?.icon ?? "info"} />
              {t(PAGES[id]?.name ?? id)}
              {id === "home" && open > 0 && (
                <span class="badge warn" title={plural(open, "{count} issue", "{count} issues")}>
                  {open}
                </span>
              )}
            </a>
          )),
        ])}
      </nav>
      <div class="side-foot">
        {accounts.length > 1 && (
          <label class="field">
            <span class="small soft">{t("Account")}</span>
            <select value={account.value || found?.default_account} onChange={(event) => void (account.value = event.currentTarget.value === found?.default_account ? "" : event.currentTarget.value)}>
              {accounts.map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          </label>
        )}
        <div class="row">
          <ThemeButton />
          <LanguageButton />
        </div>
        <div class="row row-apart">
          <span class="person">
            <span class="avatar" aria-hidden="true">
              {found?.name.slice(0, 1).toUpperCase()}
            </span>
            <span>
              {found?.name}
              <br />
              <span class="small soft">{t(ROLE_NAMES[found?.role ?? "viewer"])}</span>
            </span>
          </span>
          <Button icon="exit" look="quiet" label={t("Log out")} onPress={logOut} />
        </div>
      </div>
    </aside>
  );
}

export const ROLE_NAMES = { viewer: "Viewer", operator: "Operator", admin: "Administrator" } as const;
const THEME_LOOKS: Record<Theme, readonly [IconName, string]> = { auto: ["auto", "Colours as the system has them"], light: ["sun", "Light colours"], dark: ["moon", "Dark colours"] };

export function ThemeButton(): JSX.Element {
  const [icon, name] = THEME_LOOKS[themeChoice.value];
  const next = THEMES[(THEMES.indexOf(themeChoice.value) + 1) % THEMES.length] ?? "auto";
  return <Button icon={icon} look="quiet" label={t("{now}. Change", { now: t(name) })} onPress={() => choose(next)} />;
}

export function LanguageButton(): JSX.Element {
  const names = Object.keys(LANGUAGES) as Language[];
  const next = names[(names.indexOf(language.value) + 1) % names.length] ?? "en";
  return (
    <Button look="quiet" isSmall onPress={() => speak(next)}>
      <span lang={next}>{LANGUAGES[next]}</span>
    </Button>
  );
}
