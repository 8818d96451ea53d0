import { fireEvent, render, screen } from '@testing-library/svelte';
import { tick } from 'svelte';
import { expect, test, vi } from 'vitest';
import type { AgentView, Call } from '../api/types';
import Disposition from './Disposition.svelte';

function call(state: Call['state']): Call {
  return {
    attempt: 'a-1',
    state,
    answered_ms: 0,
    connected_ms: 0,
    card: {
      contact: 1,
      campaign: 1,
      campaign_name: 'C',
      name: 'N',
      number: '+12025550100',
      external_ref: '',
      zone: 'Europe/Kyiv',
      fields: [],
      script: '',
      crm_url: null,
      until_ms: null,
      dispositions: [
        { code: 'success', label: 'Success', next: 'close' },
        { code: 'later', label: 'Asked to call later', next: 'callback' },
        { code: 'do_not_call', label: 'Do not call again', next: 'do_not_call' },
      ],
    },
  };
}
const view = { since_ms: 0, until_ms: null } as AgentView;

function show(state: Call['state']) {
  const onsave = vi.fn().mockResolvedValue(true);
  const shown = render(Disposition, { call: call(state), view, onsave });
  return { onsave, ...shown };
}
async function press(
  key: string,
  more: KeyboardEventInit = {},
  target: EventTarget = document.body,
) {
  await fireEvent.keyDown(target as Element, { key, ...more });
  await tick();
}
const pressed = (): string[] =>
  screen
    .getAllByRole('button', { pressed: true })
    .map((button) => button.textContent?.replace(/\s+/g, ' ').trim() ?? '');

test('a digit chooses, the save button has the focus, and saving says what follows', async () => {
  const { onsave } = show('ended');
  await press('3');
  expect(pressed()).toEqual(['3Do not call again']);
  expect(document.activeElement?.textContent?.trim()).toBe('Save and finish');
  await fireEvent.click(document.activeElement as Element);
  expect(onsave).toHaveBeenCalledWith(
    '/agent/disposition',
    { attempt: 'a-1', code: 'do_not_call', next: { kind: 'do_not_call' } },
    expect.anything(),
  );
});

test('Ctrl+Enter saves from the note, in which digits are only text', async () => {
  const { onsave } = show('ended');
  await press('1');
  const note = screen.getByLabelText('Note');
  await press('2', {}, note);
  expect(pressed()).toEqual(['1Success']);
  await fireEvent.input(note, { target: { value: '  rang twice ' } });
  await press('Enter', { ctrlKey: true }, note);
  expect(onsave.mock.calls[0]?.[1]).toMatchObject({ code: 'success', note: 'rang twice' });
});

test('a callback has a time in the person’s own zone', async () => {
  const { onsave } = show('ended');
  await press('2');
  const when = screen.getByLabelText(/When, by their clock/);
  expect(document.activeElement).toBe(when);
  await fireEvent.input(when, { target: { value: '2099-01-15T10:00' } });
  await press('Enter', { ctrlKey: true }, when);
  expect(onsave.mock.calls[0]?.[1]).toMatchObject({
    next: { kind: 'callback', at: Date.UTC(2099, 0, 15, 8) },
  });
});

test('a callback in the past is not saved', async () => {
  const { onsave } = show('ended');
  await press('2');
  const when = screen.getByLabelText(/When, by their clock/);
  await fireEvent.input(when, { target: { value: '2020-01-15T10:00' } });
  await press('Enter', { ctrlKey: true }, when);
  expect(onsave).not.toHaveBeenCalled();
  expect(screen.getByText('This time is over.')).toBeTruthy();
});

test('while the call lasts a choice is kept but not saved; at its end Enter is enough', async () => {
  const { onsave, rerender } = show('talking');
  await press('1');
  await press('Enter', { ctrlKey: true });
  expect(onsave).not.toHaveBeenCalled();
  await rerender({ call: call('ended') });
  await tick();
  await tick();
  expect(document.activeElement?.textContent?.trim()).toBe('Save and finish');
});

test('a held key, a key with a modifier and a number without a choice mean nothing', async () => {
  show('ended');
  await press('1', { repeat: true });
  await press('1', { altKey: true });
  await press('9');
  expect(screen.queryAllByRole('button', { pressed: true })).toEqual([]);
});
