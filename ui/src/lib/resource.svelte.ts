// A list of the API that a panel shows: loaded, failed, loaded again.
import { api } from '../api/client';
import { tell } from '../problems';

export interface Resource<T> {
  readonly rows: T[] | null;
  readonly failed: string;
  load(): Promise<void>;
}

/** The rows behind `path`; call `load` when the panel opens and after each change. */
export function resource<T>(path: string): Resource<T> {
  let rows = $state.raw<T[] | null>(null);
  let failed = $state('');
  return {
    get rows() {
      return rows;
    },
    get failed() {
      return failed;
    },
    async load() {
      failed = '';
      try {
        rows = await api.get<T[]>(path);
      } catch (error) {
        failed = tell(error);
      }
    },
  };
}
