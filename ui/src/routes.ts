// Which screen a path means.

export type Screen =
  | { name: 'home' }
  | { name: 'login' }
  | { name: 'link'; token: string }
  | { name: 'agent' }
  | { name: 'manager'; campaign: number | null };

/** The screen of a path; what is unknown is the start. */
export function screenOf(path: string): Screen {
  const [first = '', second = ''] = path.split('/').filter(Boolean);
  if (first === 'login') return { name: 'login' };
  if (first === 'link' && second) return { name: 'link', token: decodeURIComponent(second) };
  if (first === 'agent') return { name: 'agent' };
  if (first === 'manager') {
    const campaign = Number.parseInt(second, 10);
    return { name: 'manager', campaign: Number.isNaN(campaign) ? null : campaign };
  }
  return { name: 'home' };
}

/** Where a user of this role belongs. */
export function homeOf(role: string): string {
  return role === 'agent' ? '/agent' : '/manager';
}
