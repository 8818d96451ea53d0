// A failed request in the words of the catalogue.
import { Problem } from './api/client';
import { isKey, t } from './i18n.svelte';

/** Refusals whose detail says which value or what was in the way. */
const TELLING = new Set([
  'error.bad_request',
  'error.invalid',
  'error.conflict',
  'error.internal',
  'error.not_found',
]);

/** What to tell the person whose request failed. */
export function tell(error: unknown): string {
  if (!(error instanceof Problem)) return t('error.other', { detail: String(error) });
  const { key, status, message } = error;
  if (key && isKey(key)) return TELLING.has(key) && message ? `${t(key)} ${message}` : t(key);
  if (status === 403) return t('error.forbidden');
  if (status === 404) return t('error.not_found');
  if (status >= 500) return t('error.server', { detail: message });
  return t('error.other', { detail: message });
}
