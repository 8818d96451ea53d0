import { expect, test } from 'vitest';
import { homeOf, screenOf } from './routes';

test('a path means its screen, and an unknown one the start', () => {
  expect(screenOf('/agent')).toEqual({ name: 'agent' });
  expect(screenOf('/manager')).toEqual({ name: 'manager', campaign: null });
  expect(screenOf('/manager/12')).toEqual({ name: 'manager', campaign: 12 });
  expect(screenOf('/link/a%2Fb')).toEqual({ name: 'link', token: 'a/b' });
  expect(screenOf('/elsewhere')).toEqual({ name: 'home' });
});

test('an agent’s home is the desk', () => {
  expect(['agent', 'manager', 'admin'].map(homeOf)).toEqual(['/agent', '/manager', '/manager']);
});
