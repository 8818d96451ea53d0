// Names, cards and results of the mock. Numbers are of the ranges reserved for fiction.

export const NAMES = [
  'Оксана Гончар',
  'Mark Bell',
  'Ірина Бойко',
  'Анна Соколова',
  'Ben Carter',
  'Дмитро Левченко',
  'Zoe Adams',
  'Павло Шевчук',
  'Елена Морозова',
  'Grace Hill',
  'Тарас Мельник',
  'Ivan Petrov',
  'Марія Кравець',
  'Lucy Gray',
  'Андрій Ткач',
  'Nina Ford',
  'Сергей Волков',
  'Софія Лисенко',
  'Tom Baker',
  'Юлія Романюк',
];

export const RESULTS = [
  ['no_answer', 40],
  ['busy', 14],
  ['unreachable', 11],
  ['invalid_number', 6],
  ['declined', 6],
  ['congestion', 3],
  ['not_in_service', 3],
  ['dropped_while_ringing', 2],
  ['blocked_by_network', 1],
];

const DISPOSITIONS = [
  { code: 'success', label: 'Success', next: 'close' },
  { code: 'not_interested', label: 'Not interested', next: 'close' },
  { code: 'answering_machine', label: 'Answering machine', next: 'retry' },
  { code: 'wrong_person', label: 'Wrong person', next: 'close' },
  { code: 'call_later', label: 'Asked to call later', next: 'callback' },
  { code: 'do_not_call', label: 'Do not call again', next: 'do_not_call' },
];

function card(contact, name, number, zone, script, fields) {
  return {
    contact,
    campaign: 1,
    campaign_name: 'Spring offer',
    name,
    number,
    external_ref: `C-${10_000 + contact}`,
    zone,
    fields,
    script,
    dispositions: DISPOSITIONS,
    crm_url: `https://crm.example.org/people/${10_000 + contact}`,
    until_ms: null,
  };
}

export const CARDS = [
  card(
    17,
    'Катерина Іваненко',
    '+442079460117',
    'Europe/Kyiv',
    'Добрий день, Катерино! Це Оксана з компанії «Дзвіниця».\nМи помітили, що ваш тариф закінчується у грудні. Маєте хвилину, щоб почути про новий?',
    [
      ['city', 'Львів'],
      ['plan', 'Сімейний, 2 роки'],
      ['renewal', '12.12.2026'],
      ['balance', '1 240,50 ₴'],
      ['last contact', 'Питала про роумінг; просила надіслати лист, а потім зателефонувати'],
    ],
  ),
  card(
    18,
    'Margaret Holloway-Fitzgerald',
    '+12025550142',
    'America/New_York',
    'Good afternoon, Margaret. This is Campanile calling about the renewal of your plan.\nIs this a good moment to talk?',
    [
      ['city', 'Baltimore'],
      ['plan', 'Family'],
      ['renewal', '2026-12-03'],
    ],
  ),
  card(19, 'Сергій Дорошенко', '+442079460231', 'Europe/London', '', []),
];
