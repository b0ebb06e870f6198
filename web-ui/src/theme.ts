// Light, dark, or as the system has it; the choice stays in this browser.
import { signal } from "@preact/signals";

export const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const STORED = "leafbox.theme";
const choice = signal<Theme>("auto");
const system = matchMedia("(prefers-color-scheme: dark)");
const isSystemDark = signal(system.matches);
system.addEventListener("change", () => {
  isSystemDark.value = system.matches;
});

export const themeChoice = choice;
/** What is shown now; drawings on a canvas follow it. */
export const theme = {
  get value(): "light" | "dark" {
    if (choice.value !== "auto") return choice.value;
    return isSystemDark.value ? "dark" : "light";
  },
};

export function choose(wanted: Theme): void {
  choice.value = wanted;
  if (wanted === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.dataset.theme = wanted;
  try {
    localStorage.setItem(STORED, wanted);
  } catch {
    // Then it holds until the page is closed.
  }
}

export function chooseStored(): void {
  let stored: string | null = null;
  try {
    stored = localStorage.getItem(STORED);
  } catch {
    // As above.
  }
  if (stored === "light" || stored === "dark") choose(stored);
}
