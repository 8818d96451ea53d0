// Where the keyboard stands when something appears.

/** Puts the focus on an element as it appears: `{@attach focus}`. */
export function focus(element: HTMLElement): void {
  element.focus();
}
