// Access: people, tokens, users of the messaging side with a permission tester, certificates.
import type { JSX } from "preact";
import { t } from "../../i18n/i18n.ts";
import { link, place } from "../../router.ts";
import { may } from "../../session.ts";
import { PageHead, Tabs } from "../../ui/parts.tsx";
import { Certificates } from "./certificates.tsx";
import { People } from "./people.tsx";
import { Sessions } from "./sessions.tsx";
import { Tokens } from "./tokens.tsx";
import { Users } from "./users.tsx";

export function Access(): JSX.Element {
  const tab = place.value.query.get("tab") ?? (may("admin") ? "people" : "users");
  const tabs = [
    ...(may("admin") ? ([["people", t("People"), link(["access"], { tab: "people" })], ["tokens", t("API tokens"), link(["access"], { tab: "tokens" })]] as const) : []),
    ["users", t("Users of NATS and MQTT"), link(["access"], { tab: "users" })],
    ["sessions", t("Open logins"), link(["access"], { tab: "sessions" })],
    ["certificates", t("Certificates"), link(["access"], { tab: "certificates" })],
  ] as const;
  return (
    <>
      <PageHead title={t("Access")}>{t("Who may look, who may change, and what programs and devices may send and hear.")}</PageHead>
      <Tabs label={t("Parts of access")} current={tab} items={tabs} />
      {tab === "people" && <People />}
      {tab === "tokens" && <Tokens />}
      {tab === "users" && <Users />}
      {tab === "sessions" && <Sessions />}
      {tab === "certificates" && <Certificates />}
    </>
  );
}
