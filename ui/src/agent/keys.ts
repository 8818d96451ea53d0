// What the keyboard means on the agent's page.

/** The elements that people write in. */
function isWritten(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.matches('textarea')) return true;
  return target instanceof HTMLInputElement && !['radio', 'checkbox'].includes(target.type);
}

/** The elements that take typed characters themselves: what people write in, and lists to choose from. */
function takesText(target: EventTarget | null): boolean {
  return isWritten(target) || target instanceof HTMLSelectElement;
}

/** Which of `count` choices a key press means (from 0), or `null`. */
export function choiceOf(event: KeyboardEvent, count: number): number | null {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return null;
  if (takesText(event.target) || !/^[1-9]$/.test(event.key)) return null;
  const at = Number(event.key) - 1;
  return at < count ? at : null;
}

/** Whether a key press means "save", wherever the focus is. */
export function isSave(event: KeyboardEvent): boolean {
  return event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !event.repeat;
}

/** Whether the person is typing, so that the focus must stay where it is. */
export function isTyping(): boolean {
  return isWritten(document.activeElement);
}
