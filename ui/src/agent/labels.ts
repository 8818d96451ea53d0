// Names of dispositions in the agent's language.
import type { Choice } from '../api/types';
import { isKey, t } from '../i18n.svelte';
import { messages } from '../messages';

/** A campaign's own label stands; the ones every campaign starts with are translated. */
export function labelOf(choice: Choice): string {
  const key = `disp.code.${choice.code}`;
  if (!isKey(key)) return choice.label;
  return !choice.label || choice.label === messages[key].en ? t(key) : choice.label;
}
