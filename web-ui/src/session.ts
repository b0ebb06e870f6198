// Who uses this page: unclaimed box, nobody, or somebody with a role.
import { computed, signal } from "@preact/signals";
import { call, Problem, whenLoggedOut } from "./api/client.ts";
import { startEvents, stopEvents } from "./api/events.ts";
import type { Session, Setup } from "./api/types.ts";

export type Role = Session["role"];
type State = "starting" | "unclaimed" | "logged-out" | "logged-in";

export const state = signal<State>("starting");
export const session = signal<Session | null>(null);
export const setup = signal<Setup | null>(null);
export const startProblem = signal<Problem | null>(null);
/** Whether the login page should say that a session ended. */
export const hasExpired = signal(false);
/** The NATS account the data pages show; empty is the box's default. */
export const account = signal("");
export const accountQuery = computed(() => (account.value ? { account: account.value } : {}));

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

/** Whether the person may do what needs this role. The box decides; the page only does not offer what it would refuse. */
export function may(role: Role): boolean {
  return RANK[session.value?.role ?? "viewer"] >= RANK[role];
}

/** Why something is not offered, for its tooltip. */
export function needs(role: Role): string {
  return role === "admin" ? "Only an administrator may do this." : "Viewers look; an operator may do this.";
}

/** Find out which of the states it is. */
export async function begin(): Promise<void> {
  startProblem.value = null;
  try {
    setup.value = await call("GET /setup");
    if (!setup.value.claimed) {
      state.value = "unclaimed";
      return;
    }
    enter(await call("GET /session"));
  } catch (error) {
    const problem = Problem.of(error);
    if (problem.status === 401) state.value = "logged-out";
    else startProblem.value = problem;
  }
}

export function enter(found: Session): void {
  session.value = found;
  hasExpired.value = false;
  state.value = "logged-in";
  startEvents(isStillLoggedIn);
}

export async function logOut(): Promise<void> {
  await call("DELETE /session");
  leave(false);
}

function leave(isExpired: boolean): void {
  stopEvents();
  session.value = null;
  hasExpired.value = isExpired;
  state.value = "logged-out";
}

async function isStillLoggedIn(): Promise<boolean> {
  try {
    session.value = await call("GET /session");
    return true;
  } catch (error) {
    if (Problem.of(error).status !== 401) throw error;
    leave(true);
    return false;
  }
}

whenLoggedOut(() => {
  if (state.value === "logged-in") leave(true);
});
