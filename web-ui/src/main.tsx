// Start of the page: theme and language first, then the first paint, then the question who is there.
import { render } from "preact";
import { App } from "./app.tsx";
import { preferredLanguage, speak } from "./i18n/i18n.ts";
import { begin } from "./session.ts";
import { chooseStored } from "./theme.ts";

chooseStored();
const root = document.getElementById("app");
if (root) {
  const language = preferredLanguage();
  if (language !== "en") await speak(language).catch(() => undefined);
  root.replaceChildren();
  render(<App />, root);
  void begin();
}
