//! The people in the lab's CRM: names, numbers reserved for fiction, time zones.

use serde::Serialize;

use crate::domain::phone::E164;
use crate::simulation::dice::Dice;

/// Area codes with their city and zone. 555-0100 to 555-0199 of each are kept for fiction (NANPA).
const AREAS: [(u16, &str, &str); 40] = [
    (212, "Нью-Йорк", "America/New_York"),
    (312, "Чикаго", "America/Chicago"),
    (213, "Лос-Анджелес", "America/Los_Angeles"),
    (303, "Денвер", "America/Denver"),
    (305, "Маямі", "America/New_York"),
    (602, "Фінікс", "America/Phoenix"),
    (206, "Сіетл", "America/Los_Angeles"),
    (713, "Г'юстон", "America/Chicago"),
    (214, "Даллас", "America/Chicago"),
    (404, "Атланта", "America/New_York"),
    (617, "Бостон", "America/New_York"),
    (215, "Філадельфія", "America/New_York"),
    (202, "Вашингтон", "America/New_York"),
    (415, "Сан-Франциско", "America/Los_Angeles"),
    (503, "Портленд", "America/Los_Angeles"),
    (702, "Лас-Вегас", "America/Los_Angeles"),
    (801, "Солт-Лейк-Сіті", "America/Denver"),
    (505, "Альбукерке", "America/Denver"),
    (512, "Остін", "America/Chicago"),
    (612, "Міннеаполіс", "America/Chicago"),
    (314, "Сент-Луїс", "America/Chicago"),
    (504, "Новий Орлеан", "America/Chicago"),
    (615, "Нашвілл", "America/Chicago"),
    (901, "Мемфіс", "America/Chicago"),
    (216, "Клівленд", "America/New_York"),
    (412, "Піттсбург", "America/New_York"),
    (313, "Детройт", "America/Detroit"),
    (317, "Індіанаполіс", "America/Indiana/Indianapolis"),
    (414, "Мілуокі", "America/Chicago"),
    (816, "Канзас-Сіті", "America/Chicago"),
    (402, "Омаха", "America/Chicago"),
    (405, "Оклахома-Сіті", "America/Chicago"),
    (704, "Шарлотт", "America/New_York"),
    (803, "Колумбія", "America/New_York"),
    (904, "Джексонвілл", "America/New_York"),
    (813, "Тампа", "America/New_York"),
    (916, "Сакраменто", "America/Los_Angeles"),
    (619, "Сан-Дієго", "America/Los_Angeles"),
    (808, "Гонолулу", "Pacific/Honolulu"),
    (907, "Анкоридж", "America/Anchorage"),
];

/// Distinct numbers there are: 4,000 American ones and 1,000 of London.
pub const PEOPLE_MAX: u32 = 5_000;
/// 555-0100 to 555-0199.
const LINES_PER_AREA: u32 = 100;

const MEN: [(&str, &str, &str); 24] = [
    ("Андрій", "Андрійович", "Андріївна"),
    ("Богдан", "Богданович", "Богданівна"),
    ("Василь", "Васильович", "Василівна"),
    ("Віктор", "Вікторович", "Вікторівна"),
    ("Володимир", "Володимирович", "Володимирівна"),
    ("Григорій", "Григорович", "Григорівна"),
    ("Дмитро", "Дмитрович", "Дмитрівна"),
    ("Євген", "Євгенович", "Євгенівна"),
    ("Іван", "Іванович", "Іванівна"),
    ("Ігор", "Ігорович", "Ігорівна"),
    ("Ілля", "Ілліч", "Іллівна"),
    ("Кирило", "Кирилович", "Кирилівна"),
    ("Максим", "Максимович", "Максимівна"),
    ("Микола", "Миколайович", "Миколаївна"),
    ("Назар", "Назарович", "Назарівна"),
    ("Олег", "Олегович", "Олегівна"),
    ("Олександр", "Олександрович", "Олександрівна"),
    ("Остап", "Остапович", "Остапівна"),
    ("Павло", "Павлович", "Павлівна"),
    ("Петро", "Петрович", "Петрівна"),
    ("Роман", "Романович", "Романівна"),
    ("Святослав", "Святославович", "Святославівна"),
    ("Тарас", "Тарасович", "Тарасівна"),
    ("Юрій", "Юрійович", "Юріївна"),
];

const WOMEN: [&str; 24] = [
    "Анастасія",
    "Валентина",
    "Віра",
    "Ганна",
    "Дарина",
    "Євгенія",
    "Зоряна",
    "Ірина",
    "Катерина",
    "Леся",
    "Любов",
    "Людмила",
    "Марія",
    "Мирослава",
    "Надія",
    "Наталія",
    "Оксана",
    "Олена",
    "Ольга",
    "Соломія",
    "Софія",
    "Тетяна",
    "Уляна",
    "Юлія",
];

/// A man's surname and a woman's.
const SURNAMES: [(&str, &str); 48] = [
    ("Шевченко", "Шевченко"),
    ("Коваленко", "Коваленко"),
    ("Бондаренко", "Бондаренко"),
    ("Ткаченко", "Ткаченко"),
    ("Кравченко", "Кравченко"),
    ("Олійник", "Олійник"),
    ("Шевчук", "Шевчук"),
    ("Поліщук", "Поліщук"),
    ("Лисенко", "Лисенко"),
    ("Бойко", "Бойко"),
    ("Мельник", "Мельник"),
    ("Марченко", "Марченко"),
    ("Руденко", "Руденко"),
    ("Савченко", "Савченко"),
    ("Петренко", "Петренко"),
    ("Клименко", "Клименко"),
    ("Павленко", "Павленко"),
    ("Гнатюк", "Гнатюк"),
    ("Романюк", "Романюк"),
    ("Левченко", "Левченко"),
    ("Харченко", "Харченко"),
    ("Карпенко", "Карпенко"),
    ("Гончаренко", "Гончаренко"),
    ("Мороз", "Мороз"),
    ("Кузьменко", "Кузьменко"),
    ("Литвиненко", "Литвиненко"),
    ("Яременко", "Яременко"),
    ("Ковальчук", "Ковальчук"),
    ("Сидоренко", "Сидоренко"),
    ("Білоус", "Білоус"),
    ("Чорновол", "Чорновол"),
    ("Непийвода", "Непийвода"),
    ("Добровольський", "Добровольська"),
    ("Вишневський", "Вишневська"),
    ("Заболотний", "Заболотна"),
    ("Чорний", "Чорна"),
    ("Коцюбинський", "Коцюбинська"),
    ("Яворський", "Яворська"),
    ("Білецький", "Білецька"),
    ("Лозинський", "Лозинська"),
    ("Підмогильний", "Підмогильна"),
    ("Рильський", "Рильська"),
    ("Стельмах", "Стельмах"),
    ("Дорошенко", "Дорошенко"),
    ("Сковорода", "Сковорода"),
    ("Ґалаґан", "Ґалаґан"),
    ("Їжакевич", "Їжакевич"),
    ("Єфименко", "Єфименко"),
];

const PRODUCTS: [&str; 8] = [
    "Домашній інтернет 500",
    "Кредитна картка «Затишок»",
    "Страхування авто",
    "Поновлення договору",
    "Мобільний тариф «Родина»",
    "Депозит «Весняний»",
    "Медичний огляд",
    "Сервісне обслуговування котла",
];

/// One record as the CRM serves it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// The CRM's own id.
    pub id: String,
    /// Surname, first name, patronymic.
    pub full_name: String,
    /// Their numbers, the best first.
    pub phones: Vec<Phone>,
    /// Where they live.
    pub city: &'static str,
    /// What they owe, with a decimal comma.
    pub debt: String,
    /// What the call is about.
    pub product: &'static str,
    /// IANA zone.
    pub tz: &'static str,
    /// Higher is dialled first.
    pub score: u32,
}

/// A number as people write it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Phone {
    /// `mobile` or `home`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// International, with the usual blanks and brackets.
    pub number: String,
}

impl std::fmt::Debug for Phone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Phone({})", self.kind)
    }
}

/// Where person `index` lives, and how their number is written. `None` from [`PEOPLE_MAX`] on.
fn place(index: u32) -> Option<(String, &'static str, &'static str)> {
    if index >= PEOPLE_MAX {
        return None;
    }
    // Every fifth lives in London: 020 7946 0000 to 0999 are kept for drama (Ofcom).
    if index % 5 == 4 {
        return Some((format!("+44 20 7946 {:04}", index / 5), "Лондон", "Europe/London"));
    }
    let american = index - index / 5;
    let areas = u32::try_from(AREAS.len()).unwrap_or(u32::MAX);
    let area = usize::try_from(american % areas).unwrap_or(0);
    let line = 100 + american / areas % LINES_PER_AREA;
    let (code, city, zone) = AREAS.get(area)?;
    Some((format!("+1 ({code}) 555-{line:04}"), city, zone))
}

/// The number of person `index`; `None` from [`PEOPLE_MAX`] on.
pub fn number(index: u32) -> Option<E164> {
    let (written, _, _) = place(index)?;
    E164::parse(&written.replace([' ', '(', ')', '-'], "")).ok()
}

/// The record of person `index`; `None` from [`PEOPLE_MAX`] on.
pub fn record(seed: u64, index: u32) -> Option<Record> {
    const OF_RECORD: u64 = 5;
    let (written, city, tz) = place(index)?;
    let mut dice = Dice::of(seed, &[OF_RECORD, u64::from(index)]);
    let (first, _, _) = MEN.get(dice.below(MEN.len()))?;
    let (_, son_of, daughter_of) = MEN.get(dice.below(MEN.len()))?;
    let (his, her) = SURNAMES.get(dice.below(SURNAMES.len()))?;
    let full_name = if dice.chance(0.5) {
        format!("{his} {first} {son_of}")
    } else {
        format!("{her} {} {daughter_of}", WOMEN.get(dice.below(WOMEN.len()))?)
    };
    let kind = if dice.chance(0.7) { "mobile" } else { "home" };
    Some(Record {
        id: format!("CRM-{index:06}"),
        full_name,
        phones: vec![Phone { kind, number: written }],
        city,
        debt: format!("{},{:02}", dice.below(9_000), dice.below(100)),
        product: PRODUCTS.get(dice.below(PRODUCTS.len()))?,
        tz,
        score: u32::try_from(dice.below(100)).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_number_is_distinct_and_reserved_for_fiction() {
        let numbers: BTreeSet<_> = (0..PEOPLE_MAX).filter_map(number).collect();
        assert_eq!(numbers.len(), PEOPLE_MAX as usize);
        for number in numbers {
            let digits = number.digits();
            let american =
                digits.len() == 11 && digits.starts_with('1') && digits[4..].starts_with("55501");
            let london = digits.len() == 12 && digits.starts_with("442079460");
            assert!(american || london, "{digits}");
        }
        assert_eq!(number(PEOPLE_MAX), None);
    }

    #[test]
    fn names_are_cyrillic_varied_and_agree_in_gender() {
        let names: BTreeSet<_> =
            (0..1_000).map(|index| record(1, index).unwrap().full_name).collect();
        assert!(names.len() > 900, "{}", names.len());
        for name in names {
            assert!(
                name.chars().all(|c| c == ' ' || c == '\'' || ('Є'..='ґ').contains(&c)),
                "{name}"
            );
            let is_woman = name.ends_with("івна") || name.ends_with("ївна");
            assert!(is_woman || name.ends_with("ич") || name.ends_with("іч"), "{name}");
            let surname = name.split(' ').next().unwrap();
            assert!(!(is_woman && surname.ends_with("ий")), "{name}");
            assert!(is_woman || !surname.ends_with("ька"), "{name}");
        }
    }

    #[test]
    fn every_zone_is_one_that_the_calling_hours_know() {
        for index in 0..200 {
            let record = record(1, index).unwrap();
            assert!(record.tz.parse::<chrono_tz::Tz>().is_ok(), "{}", record.tz);
        }
    }
}
