// A failed request in the words of the catalogue.
import { Problem } from './api/client';
import { isKey, t } from './i18n.svelte';

/** What to tell the person whose request failed. */
export function tell(error: unknown): string {
  if (!(error instanceof Problem)) return t('error.other', { detail: String(error) });
  if (error.key && isKey(error.key)) return t(error.key);
  if (error.status === 403) return t('error.forbidden');
  if (error.status === 404) return t('error.not_found');
  if (error.status >= 500) return t('error.server', { detail: error.message });
  return t('error.other', { detail: error.message });
}
