// Line icons, 20 by 20, drawn here. They stand beside words or have a labelled button around them, so they are hidden from screen readers.

const paths = {
  home: 'M3.5 9.5 10 4l6.5 5.5M5.5 8.5V16h9V8.5',
  pause: 'M7 5v10M13 5v10',
  play: 'M6.5 4.5v11l9-5.5z',
  reset: 'M4.5 10a5.5 5.5 0 1 0 1.8-4.1M6 2.8v3.4h3.4',
  power: 'M10 3v6.5M6 5.6a6 6 0 1 0 8 0',
  console: 'M3 4.5h14v11H3zM6 8l2.2 2L6 12M10 12.5h4',
  link: 'M8.5 11.5 11.5 8.5M9 6.2l1.6-1.6a3.3 3.3 0 0 1 4.7 4.7L13.8 11M11 13.8l-1.6 1.6a3.3 3.3 0 0 1-4.7-4.7L6.2 9',
  help: 'M7.3 7.6a2.7 2.7 0 1 1 3.9 2.4c-.8.4-1.2.9-1.2 1.8M10 14.7v.1M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15z',
  search: 'M8.8 14a5.2 5.2 0 1 0 0-10.4 5.2 5.2 0 0 0 0 10.4zM12.7 12.7 17 17',
  up: 'M5 12l5-5 5 5',
  down: 'M5 8l5 5 5-5',
  close: 'M5 5l10 10M15 5 5 15',
  copy: 'M7 7h9v9H7zM4 13V4h9',
  paste: 'M6 5H4.5v12h11V5H14M7 3.5h6v3H7z',
  download: 'M10 3v9M6.5 8.8 10 12.3l3.5-3.5M4 16h12',
  larger: 'M3 15l4-10 4 10M4.3 12h5.4M15 7v6M12 10h6',
  smaller: 'M3 15l4-10 4 10M4.3 12h5.4M12 10h6',
  clear: 'M4 16h12M6 13l6.5-8.5 3.5 2.8L10.5 14H7z',
  speak: 'M3 8v4h3l4 3.5v-11L6 8zM13 7.5a3.5 3.5 0 0 1 0 5M15.2 5a7 7 0 0 1 0 10',
  file: 'M5 2.5h6.5L15 6v11.5H5zM11 2.5V6.5h4',
  screen: 'M3 4h14v9.5H3zM7 16.5h6M10 13.5v3',
  monitor: 'M4 5h12M4 10h5M4 15h8M13.5 8.5 16 11l-2.5 2.5',
  panels: 'M3 4h14v12H3zM11.5 4v12',
  camera: 'M3 6.5h3l1.2-2h5.6l1.2 2h3v9H3zM10 13.6a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2z',
  expand: 'M3.5 7.5v-4h4M12.5 3.5h4v4M16.5 12.5v4h-4M7.5 16.5h-4v-4',
  keyboard: 'M2.5 5.5h15v9.5h-15zM5.5 8.4h.1M8.5 8.4h.1M11.5 8.4h.1M14.5 8.4h.1M7 12h6',
  edit: 'M4 13.5V16h2.5L15 7.5 12.5 5zM11 6.5 13.5 9',
  rename: 'M3 6.5h8M3 13.5h8M13 4h4M13 16h4M15 4v12',
  disk: 'M3 11.5 5.2 5h9.6l2.2 6.5v4H3zM3 11.5h14M13.5 13.5h.1',
  folder: 'M3 5.5h5l1.5 2H17v8.5H3z',
  back: 'M11.5 5l-5 5 5 5M6.5 10h8',
  globe: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM3 10h14M10 3c2.2 2 3.2 4.3 3.2 7s-1 5-3.2 7c-2.2-2-3.2-4.3-3.2-7s1-5 3.2-7z',
  network: 'M8 3h4v4H8zM3 13h4v4H3zM13 13h4v4h-4zM10 7v3M5 13v-3h10v3',
  grid: 'M4 4h12v12H4zM4 8h12M4 12h12M8 4v12M12 4v12',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg width="20" height="20" viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
