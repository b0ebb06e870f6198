// What stands for a text in a built catalogue: five letters instead of the English sentence. The build refuses two texts
// with the same key.
export function keyOf(text: string): string {
  // FNV-1a, the upper 24 of its 32 bits.
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return (hash >>> 8).toString(36);
}
