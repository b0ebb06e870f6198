// The icons, drawn for this page on a 24-unit grid with one line width.
import type { JSX } from "preact";

const PATHS = {
  home: "M4 11.5 12 4.500l8 7M6.500 10v9.500h11V10M10 19.500v-5h4v5",
  flow: "M4 6h5v4H4zM4 14h5v4H4zM15 10h5v4h-5zM9 8c4 0 2 4 6 4M9 16c4 0 2-4 6-4",
  device: "M7 7h10v10H7zM10 7V4M14 7V4M10 20v-3M14 20v-3M7 10H4M7 14H4M20 10h-3M20 14h-3",
  live: "M3 12h4l2.500-6 4 12 3-8 1.500 2h3",
  stream: "M4 6.500c0-1.400 3.600-2.500 8-2.500s8 1.100 8 2.500-3.600 2.500-8 2.500-8-1.100-8-2.500zM4 6.500v11C4 18.900 7.600 20 12 20s8-1.100 8-2.500v-11M4 12c0 1.400 3.600 2.500 8 2.500s8-1.100 8-2.500",
  key: "M15 5a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9zM11.800 12.700 4.500 20M7 17.500l2.500 2.500M10 14.500l1.500 1.500M16 8.500v.2",
  object: "M12 3.500 20 8v8l-8 4.500L4 16V8zM4 8l8 4.500L20 8M12 12.500v8",
  uplink: "M7 18a4 4 0 0 1-.6-7.950A6 6 0 0 1 18 9.500a4.200 4.200 0 0 1-.5 8.500M12 20v-8M9 14.500l3-3 3 3",
  connection: "M9.500 14.500l5-5M8 11l-2.500 2.500a3.900 3.900 0 0 0 5.500 5.500l2.500-2.500M16 13l2.500-2.500A3.900 3.900 0 0 0 13 5L10.500 7.500",
  access: "M12 3.500 19 6v5.500c0 4.500-3 7.500-7 9-4-1.500-7-4.500-7-9V6zM9 12l2.200 2.200L15.500 10",
  system: "M4 5h16v10.500H4zM9 20h6M12 15.500V20M8 11.500l2-2.500 2 2 3-3.500",
  config: "M5 7h8M17 7h2M5 12h2M11 12h8M5 17h7M16 17h3M15 5v4M9 10v4M14 15v4",
  log: "M6 4h9l4 4v12H6zM14.500 4v4.500H19M9 12h7M9 15.500h5",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6 6 18",
  chevron: "M9 6l6 6-6 6",
  up: "M6 14l6-6 6 6",
  check: "M5 12.500l4.500 4.500L19 7.500",
  warn: "M12 4 21 19.500H3zM12 10v4.500M12 17v.2",
  bad: "M12 3.500a8.500 8.500 0 1 1 0 17 8.500 8.500 0 0 1 0-17zM12 8v5M12 16v.2",
  info: "M12 3.500a8.500 8.500 0 1 1 0 17 8.500 8.500 0 0 1 0-17zM12 11v5.500M12 7.800V8",
  plus: "M12 5v14M5 12h14",
  search: "M10.500 4.500a6 6 0 1 1 0 12 6 6 0 0 1 0-12zM15 15l5 5",
  download: "M12 4v11M8 11.500l4 4 4-4M5 20h14",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  trash: "M5 7h14M9.500 7V4.500h5V7M7 7l1 13h8l1-13M10.500 10.500v6M13.500 10.500v6",
  pause: "M9 6v12M15 6v12",
  play: "M8 5.500v13l10-6.500z",
  refresh: "M19 12a7 7 0 1 1-2.200-5.100M19 4v4h-4",
  sun: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 3v2M12 19v2M3 12h2M19 12h2M5.600 5.600 7 7M17 17l1.400 1.400M5.600 18.400 7 17M17 7l1.400-1.400",
  moon: "M19.500 14.500A8 8 0 0 1 9.500 4.500a8 8 0 1 0 10 10z",
  auto: "M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM12 4v16M12 8h5.500M12 12h8M12 16h5.500",
  exit: "M10 4.500H5v15h5M9.500 12H20M16.500 8.500 20 12l-3.500 3.500",
  table: "M4 5h16v14H4zM4 10h16M10 10v9",
  edit: "M5 19l1-4L16 5l3 3L9 18zM14 7l3 3",
  send: "M4 12l16-7-6 15-3-6zM11 14l4-4",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }): JSX.Element {
  return (
    <svg viewBox="0 0 24 24" width={size} height={size} fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The sign of the product. */
export function Mark({ className }: { className?: string }): JSX.Element {
  return (
    <svg viewBox="0 0 32 32" class={className} aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" fill="#2c6e49" />
      <path d="M8 24C7 13 14 7 25 7c0 11-5 17-14 16.500" fill="#d5efdd" />
      <path d="M8 25.500C10 19 14 15 19.500 12.500" fill="none" stroke="#2c6e49" stroke-width="2" stroke-linecap="round" />
    </svg>
  );
}
