// One request at a time of a form: whether it runs, and how it failed.
import { tell } from '../problems';

export class Busy {
  running = $state(false);
  failed = $state('');

  /** Runs `work`; answers whether it went well. */
  async run(work: () => Promise<void>): Promise<boolean> {
    if (this.running) return false;
    this.running = true;
    this.failed = '';
    try {
      await work();
      return true;
    } catch (error) {
      this.failed = tell(error);
      return false;
    } finally {
      this.running = false;
    }
  }
}
