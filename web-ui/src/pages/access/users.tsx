// Users of the messaging side with what they may, and a tester for one subject.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call, Problem } from "../../api/client.ts";
import { useResource } from "../../api/resource.ts";
import type { AccessAnswer, AccessUser } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { SelectField, TextField } from "../../ui/form.tsx";
import { Badge, Button, Card, Empty, Loaded, Notice, ProblemNotice } from "../../ui/parts.tsx";
import { Table } from "../../ui/table.tsx";

export function Users(): JSX.Element {
  const users = useResource("GET /access/users");
  return (
    <>
      <Tester users={users.value.value?.users ?? []} />
      <Card title={t("Users of NATS and MQTT")}>
        <Loaded resource={users}>
          {(value) => (
            <>
              {!value.login_needed && (
                <Notice tone="warn" title={t("Programs need no login here")}>
                  <p>{t("Whoever reaches the listener may send and hear everything. Set up users in the configuration, or add devices.")}</p>
                </Notice>
              )}
              <Table
                name={t("Users of NATS and MQTT")}
                rows={value.users}
                rowKey={(user) => `${user.account}/${user.name}`}
                empty={<Empty icon="access" title={t("No users are configured")} />}
                columns={[
                  { name: t("Name"), cell: (user) => user.name },
                  { name: t("Account"), cell: (user) => user.account },
                  { name: t("Login by"), cell: (user) => user.kind },
                  { name: t("May publish"), cell: (user) => rule(user.publish_allow, user.publish_deny), show: (user) => <Rule allow={user.publish_allow} deny={user.publish_deny} /> },
                  { name: t("May subscribe"), cell: (user) => rule(user.subscribe_allow, user.subscribe_deny), show: (user) => <Rule allow={user.subscribe_allow} deny={user.subscribe_deny} /> },
                  { name: t("Connections"), cell: (user) => user.connections, isNumber: true },
                ]}
              />
            </>
          )}
        </Loaded>
      </Card>
    </>
  );
}

function rule(allow: AccessUser["publish_allow"], deny: readonly string[]): string {
  return `${allow?.join(" ") ?? ">"}${deny.length ? ` − ${deny.join(" ")}` : ""}`;
}

function Rule({ allow, deny }: { allow: AccessUser["publish_allow"]; deny: readonly string[] }): JSX.Element {
  return (
    <span class="row">
      {allow ? <code>{allow.join(" ") || t("nothing")}</code> : t("everything")}
      {deny.length > 0 && (
        <>
          <Badge tone="bad">{t("but not")}</Badge>
          <code>{deny.join(" ")}</code>
        </>
      )}
    </span>
  );
}

function Tester({ users }: { users: readonly AccessUser[] }): JSX.Element {
  const [user, setUser] = useState("");
  const [action, setAction] = useState<"publish" | "subscribe">("publish");
  const [subject, setSubject] = useState("");
  const [answer, setAnswer] = useState<AccessAnswer | Problem | null>(null);
  const ask = async (event: Event): Promise<void> => {
    event.preventDefault();
    try {
      setAnswer(await call("POST /access/test", { body: { user, action, subject } }));
    } catch (error) {
      setAnswer(Problem.of(error));
    }
  };
  return (
    <Card title={t("May somebody do that?")}>
      <form class="stack" onSubmit={(event) => void ask(event)}>
        <div class="form-row">
          <TextField label={t("User")} value={user} onChange={setUser} list={users.map((each) => each.name)} hint={t("Empty: somebody without a login")} />
          <SelectField
            label={t("Does what")}
            value={action}
            onChange={setAction}
            options={[
              ["publish", t("publishes")],
              ["subscribe", t("subscribes to")],
            ]}
          />
          <TextField label={t("Subject")} value={subject} onChange={setSubject} isRequired placeholder="site.temperature" />
        </div>
        <div class="actions">
          <Button isSubmit look="primary">
            {t("Ask")}
          </Button>
        </div>
      </form>
      <div aria-live="polite">
        {answer instanceof Problem && <ProblemNotice problem={answer} />}
        {answer && !(answer instanceof Problem) && (
          <Notice tone={answer.allowed ? "ok" : "bad"} title={answer.allowed ? t("Yes, that is allowed") : t("No, that is refused")}>
            <p>{answer.reason}</p>
            {answer.rule && (
              <p>
                <code>{answer.rule}</code>
              </p>
            )}
          </Notice>
        )}
      </div>
    </Card>
  );
}
