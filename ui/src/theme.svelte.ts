// Light, dark, or as the system has it.

export type Theme = 'auto' | 'light' | 'dark';
export const THEMES: readonly Theme[] = ['auto', 'light', 'dark'];

const STORED = 'campanile.theme';
const system = matchMedia('(prefers-color-scheme: dark)');

let chosen = $state<Theme>('auto');
let systemDark = $state(system.matches);
system.addEventListener('change', (event) => (systemDark = event.matches));

function apply(theme: Theme): void {
  chosen = theme;
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

const stored = localStorage.getItem(STORED) as Theme | null;
if (stored && THEMES.includes(stored)) apply(stored);

export const theme = {
  get chosen(): Theme {
    return chosen;
  },
  set chosen(to: Theme) {
    localStorage.setItem(STORED, to);
    apply(to);
  },
  /** Whether the page is dark; for what is drawn rather than styled. */
  get dark(): boolean {
    return chosen === 'dark' || (chosen === 'auto' && systemDark);
  },
};
