// Subjects as a tree, and the wildcard rules, for the Live page.

export interface SubjectNode<Leaf> {
  token: string;
  /** The subject down to here. */
  subject: string;
  /** What was seen on exactly this subject. */
  leaf: Leaf | null;
  /** How many subjects were seen at or below. */
  count: number;
  children: SubjectNode<Leaf>[];
}

/** A tree of what was seen, children in natural order ("line2" before "line10"). */
export function subjectTree<Leaf extends { subject: string }>(leaves: readonly Leaf[]): SubjectNode<Leaf>[] {
  const root: SubjectNode<Leaf> = { token: "", subject: "", leaf: null, count: 0, children: [] };
  const index = new Map<string, SubjectNode<Leaf>>();
  for (const leaf of leaves) {
    let node = root;
    let path = "";
    for (const token of leaf.subject.split(".")) {
      path = path === "" ? token : `${path}.${token}`;
      let child = index.get(path);
      if (!child) {
        child = { token, subject: path, leaf: null, count: 0, children: [] };
        index.set(path, child);
        node.children.push(child);
      }
      child.count++;
      node = child;
    }
    node.leaf = leaf;
  }
  const order = new Intl.Collator("en", { numeric: true }).compare;
  for (const node of [root, ...index.values()]) node.children.sort((a, b) => order(a.token, b.token));
  return root.children;
}

/** Whether a subject falls under a pattern with `*` (one token) and `>` (the rest, at least one token). */
export function matches(pattern: string, subject: string): boolean {
  const wanted = pattern.split(".");
  const tokens = subject.split(".");
  for (const [position, token] of wanted.entries()) {
    if (token === ">") return position === wanted.length - 1 && tokens.length > position;
    if (position >= tokens.length || (token !== "*" && token !== tokens[position])) return false;
  }
  return wanted.length === tokens.length;
}

/** What is wrong with a pattern one may subscribe to, or null. */
export function patternProblem(pattern: string): "empty" | "space" | "token" | "tail" | null {
  if (pattern === "") return "empty";
  if (/\s/.test(pattern)) return "space";
  const tokens = pattern.split(".");
  if (tokens.includes("")) return "token";
  const tail = tokens.indexOf(">");
  return tail >= 0 && tail < tokens.length - 1 ? "tail" : null;
}
