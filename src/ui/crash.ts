// The page that stands in place of a blank one when the program of the page itself fails. Plain DOM: React may be what failed.

/** Replace whatever is shown. `error` is anything that was thrown. */
export function showCrash(error: unknown): void {
  const root = document.getElementById('root');
  if (!root) return;
  const main = document.createElement('main');
  main.className = 'crash';
  main.style.cssText = 'max-width:44rem;margin:12vh auto;padding:0 1rem';
  const details = error instanceof Error ? error.stack ?? `${error.name}: ${error.message}` : String(error);
  main.append(
    element('h1', 'The page made an error'),
    element('p', error instanceof Error ? error.message : String(error), { role: 'alert', style: 'margin:1rem 0' }),
    element('p', 'The machine that ran in it, if any, is stopped. Reload the page to try again. If it happens again, please report it with the details below.'),
  );
  const row = element('p', '', { style: 'display:flex;flex-wrap:wrap;gap:.5rem;margin:1rem 0' });
  row.append(button('Reload', () => location.reload(), 'button primary'), button('Home', () => { location.hash = ''; location.reload(); }, 'button'));
  const block = element('details', '');
  block.append(element('summary', 'Details'), element('pre', `${details}\n\n${navigator.userAgent}`, { style: 'white-space:pre-wrap;overflow-wrap:anywhere;user-select:all', tabindex: '0' }));
  main.append(row, block);
  root.replaceChildren(main);
  main.querySelector('button')?.focus();
}

function element(tag: string, text: string, attributes: Record<string, string> = {}): HTMLElement {
  const it = document.createElement(tag);
  it.textContent = text;
  for (const [name, value] of Object.entries(attributes)) it.setAttribute(name, value);
  return it;
}

function button(label: string, action: () => void, className: string): HTMLElement {
  const it = element('button', label, { type: 'button', class: className });
  it.addEventListener('click', action);
  return it;
}
