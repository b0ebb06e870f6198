// Something the box knows, kept fresh while a page shows it: loaded at once, again on the events it depends on, again
// after the connection was lost. An old value stays on screen while a new one loads.
import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { type Answer, call, type Input, Problem } from "./client.ts";
import { type EventName, onEvent, reconnects } from "./events.ts";
import type { Operations } from "./types.ts";

export interface Resource<Value> {
  value: Signal<Value | null>;
  problem: Signal<Problem | null>;
  isLoading: Signal<boolean>;
  reload: () => Promise<void>;
}

export interface Freshness {
  /** This event is the whole answer: show it, ask nothing. */
  document?: EventName | undefined;
  /** Load again when one of these is told. */
  on?: readonly EventName[];
  /** Load again so often, for what no event tells. */
  everyMs?: number;
  /** Do not load now. */
  isOff?: boolean;
}

export function useResource<Name extends keyof Operations>(name: Name, input: Input<Name> = {}, freshness: Freshness = {}): Resource<Answer<Name>> {
  const key = JSON.stringify([name, input, freshness.isOff]);
  const resource = useMemo(() => make(name, input), [key]);
  useEffect(() => {
    if (freshness.isOff) return;
    void resource.reload();
    const stops = (freshness.on ?? []).map((event) => onEvent(event, () => void resource.reload()));
    if (freshness.document) stops.push(onEvent(freshness.document, (data) => resource.show(data as Answer<Name>)));
    const timer = freshness.everyMs ? setInterval(() => document.hidden || void resource.reload(), freshness.everyMs) : 0;
    const before = reconnects.peek();
    const stopWatching = reconnects.subscribe((count) => count !== before && void resource.reload());
    return () => {
      for (const stop of stops) stop();
      clearInterval(timer);
      stopWatching();
      resource.abort();
    };
  }, [resource]);
  return resource;
}

function make<Name extends keyof Operations>(name: Name, input: Input<Name>): Resource<Answer<Name>> & { abort: () => void; show: (answer: Answer<Name>) => void } {
  const value = signal<Answer<Name> | null>(null);
  const problem = signal<Problem | null>(null);
  const isLoading = signal(false);
  let controller: AbortController | null = null;
  let isWanted = false;
  // One request at a time: events that come while one is under way lead to one more, not to one each.
  const reload = async (): Promise<void> => {
    if (controller) {
      isWanted = true;
      return;
    }
    const own = new AbortController();
    controller = own;
    isLoading.value = true;
    try {
      const answer = await call(name, { ...input, signal: own.signal });
      if (own.signal.aborted) return;
      value.value = answer;
      problem.value = null;
    } catch (error) {
      if (own.signal.aborted) return;
      problem.value = Problem.of(error);
    } finally {
      if (controller === own) controller = null;
      isLoading.value = false;
    }
    if (isWanted) {
      isWanted = false;
      await reload();
    }
  };
  return {
    value,
    problem,
    isLoading,
    reload,
    show: (answer) => {
      value.value = answer;
      problem.value = null;
    },
    abort: () => {
      isWanted = false;
      controller?.abort();
      controller = null;
    },
  };
}
