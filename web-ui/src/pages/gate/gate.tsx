// Before anybody is logged in: waiting for the box, claiming it, or logging in.
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { call, Problem } from "../../api/client.ts";
import { LanguageButton, ThemeButton } from "../../app.tsx";
import { t } from "../../i18n/i18n.ts";
import { begin, enter, hasExpired, setup, startProblem, state } from "../../session.ts";
import { TextField } from "../../ui/form.tsx";
import { Mark } from "../../ui/icons.tsx";
import { Button, Notice, ProblemNotice, Waiting } from "../../ui/parts.tsx";

// As the box demands; saying it beforehand saves a round.
const PASSWORD_MIN = 10;

export function Gate(): JSX.Element {
  return (
    <main class="gate">
      <div>
        {state.value === "unclaimed" ? <ClaimCard /> : state.value === "logged-out" ? <LoginCard /> : <StartingCard />}
        <div class="gate-foot">
          <ThemeButton />
          <LanguageButton />
        </div>
      </div>
    </main>
  );
}

function GateCard({ title, children, onSubmit }: { title: string; children: ComponentChildren; onSubmit?: () => Promise<void> }): JSX.Element {
  const [problem, setProblem] = useState<Problem | null>(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await onSubmit?.();
    } catch (error) {
      setProblem(Problem.of(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="gate-card" onSubmit={(event) => void submit(event)} aria-busy={isBusy}>
      <Mark className="gate-mark" />
      <h1>{title}</h1>
      {children}
      {problem && <ProblemNotice problem={problem} />}
      {onSubmit && (
        <Button isSubmit look="primary" isOff={isBusy}>
          {state.value === "unclaimed" ? t("Claim this box") : t("Log in")}
        </Button>
      )}
    </form>
  );
}

function StartingCard(): JSX.Element {
  return (
    <GateCard title="Leafbox">
      {startProblem.value ? <ProblemNotice problem={startProblem.value} onRetry={begin} /> : <Waiting />}
    </GateCard>
  );
}

function ClaimCard(): JSX.Element {
  const [code, setCode] = useState("");
  const [name, setName] = useState("admin");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const isDifferent = again !== "" && again !== password;
  const claim = async (): Promise<void> => {
    if (again !== password) throw new Problem(422, t("The two passwords differ"), t("They have to be the same, so that a slip of a finger does not lock you out."), "page.password", t("Type the password again."));
    const session = await call("POST /setup", { body: { code: code.trim(), name: name.trim(), password } });
    setup.value = await call("GET /setup");
    enter(session);
  };
  return (
    <GateCard title={t("Welcome to your box")} onSubmit={claim}>
      <p class="soft">{t("Nobody owns it yet. The one-time code stands in the terminal where Leafbox was started; it shows that you have the box in your hands.")}</p>
      <TextField label={t("One-time code")} value={code} onChange={setCode} isRequired hasFocus autocomplete="one-time-code" />
      <TextField label={t("Your name")} value={name} onChange={setName} isRequired autocomplete="username" />
      <TextField label={t("New password")} type="password" value={password} onChange={setPassword} isRequired autocomplete="new-password" hint={t("At least {count} characters. There is no default password.", { count: PASSWORD_MIN })} wrong={password !== "" && password.length < PASSWORD_MIN ? t("{count} more characters are needed.", { count: PASSWORD_MIN - password.length }) : null} />
      <TextField label={t("The same password again")} type="password" value={again} onChange={setAgain} isRequired autocomplete="new-password" wrong={isDifferent ? t("The two passwords differ") : null} />
    </GateCard>
  );
}

function LoginCard(): JSX.Element {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const logIn = async (): Promise<void> => enter(await call("POST /session", { body: { name: name.trim(), password } }));
  return (
    <GateCard title={setup.value?.box_name || "Leafbox"} onSubmit={logIn}>
      {hasExpired.value && <Notice tone="info" title={t("Your session ended")} role="status"><p>{t("Log in again; the page goes on where you were.")}</p></Notice>}
      <TextField label={t("Name")} value={name} onChange={setName} isRequired hasFocus autocomplete="username" />
      <TextField label={t("Password")} type="password" value={password} onChange={setPassword} isRequired autocomplete="current-password" />
    </GateCard>
  );
}
