//! The answer to the owner of a device, ready for a letter, in Kazakh, Russian and English.
//!
//! Says what was received and when, what was erased, what is on the list and why, and why nothing else can be
//! attributed. Says nothing that is not kept: neither identifiers nor how many rows there were.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{DAYS, Standing};
use crate::policy::Language;

const KAZAKH: [&str; 12] = [
    "қаңтар",
    "ақпан",
    "наурыз",
    "сәуір",
    "мамыр",
    "маусым",
    "шілде",
    "тамыз",
    "қыркүйек",
    "қазан",
    "қараша",
    "желтоқсан",
];
const RUSSIAN: [&str; 12] = [
    "января",
    "февраля",
    "марта",
    "апреля",
    "мая",
    "июня",
    "июля",
    "августа",
    "сентября",
    "октября",
    "ноября",
    "декабря",
];
const ENGLISH: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// What a letter tells, in the language's own forms.
struct Facts {
    case: String,
    received: String,
    registered: String,
    due: String,
    erased: String,
    /// Days that were open at the erasure; none where there was none.
    days: String,
    app: Option<String>,
    usage: bool,
    places: bool,
    listed: bool,
}

/// The letter about a case; none while its rows are not erased.
#[must_use]
pub fn letter(standing: &Standing, language: Language, zone: &TimeZone) -> Option<String> {
    let case = &standing.case;
    let local = |at: jiff::Timestamp| at.to_zoned(zone.clone()).date();
    let written = |day: Date| write(day, language);
    let facts = Facts {
        case: case.case.to_string(),
        received: written(case.received),
        registered: written(local(case.registered_at)),
        due: written(case.due),
        erased: written(local(case.erased_at?)),
        days: case.open_days.iter().map(|day| written(*day)).collect::<Vec<_>>().join(", "),
        app: case.app.clone(),
        usage: case.usage,
        places: case.places,
        listed: standing.listed,
    };
    Some(match language {
        Language::Kk => kazakh(&facts),
        Language::Ru => russian(&facts),
        Language::En => english(&facts),
    })
}

fn write(date: Date, language: Language) -> String {
    let month = usize::from(date.month().unsigned_abs()) - 1;
    match language {
        Language::Kk => format!("{} жылғы {} {}", date.year(), date.day(), KAZAKH[month]),
        Language::Ru => format!("{} {} {} года", date.day(), RUSSIAN[month], date.year()),
        Language::En => format!("{} {} {}", date.day(), ENGLISH[month], date.year()),
    }
}

fn english(facts: &Facts) -> String {
    let Facts { case, received, registered, due, erased, days, .. } = facts;
    let scope = facts.app.as_ref().map_or_else(
        || "It applies to all applications that send statistics to us.".to_owned(),
        |app| format!("It applies to the application {app}."),
    );
    let found = match (facts.usage, facts.places) {
        (true, true) => {
            "Records of how the application was used and records of the approximate area were found and have been erased."
        }
        (true, false) => {
            "Records of how the application was used were found and have been erased. There were no records of the approximate area."
        }
        (false, true) => {
            "Records of the approximate area were found and have been erased. There were no records of how the application was used."
        }
        (false, false) => "No records that belong to them were found.",
    };
    let searched = if days.is_empty() {
        format!("On {erased} there was no day whose records could still have been attributed to a device.")
    } else {
        format!(
            "On {erased} we searched the records that could still be attributed to a device for the identifiers that you named. These were the records of the following days: {days}. {found}"
        )
    };
    let list = if facts.listed {
        "So that this remains so, we keep shortened coded marks of the identifiers that you named on a suppression list. They serve this purpose alone. The identifiers cannot be derived from them, and one mark may belong to several devices, so that it does not identify yours. The list exists until its key is destroyed."
    } else {
        "The suppression list on which your device was placed has since been ended: its marks and its key have been destroyed. Should your device send statistics again, please switch the purpose off in the settings of the application."
    };
    format!(
        "Withdrawal of consent, case {case}

Your written notice of the withdrawal of your consent was received on {received} and registered on {registered} under number {case}. {scope} \
Under clause 1.3 of the privacy policy such a notice is given at least {DAYS} calendar days before the use of data is to stop; this period ends on {due}. In fact the use of your data stopped when the notice was registered.

1. Collection has stopped. {list_head}{list}

2. Erasure of records. {searched}

3. Nothing else can be attributed to you. When a day is closed, its records are destroyed together with the key by which they could be attributed to a device. What remains are totals over many devices to which random noise has been added. They contain no identifiers, and nobody, including us, can establish whether your device is part of them; therefore nothing can be singled out in them and erased.

The identifiers that you named were used to carry out your request and have not been stored. Of this request we keep its number, its dates and whether records were found.
",
        list_head = if facts.listed { "Whatever is sent with one of the identifiers that you named is discarded on receipt and is not stored. " } else { "" },
    )
}

fn russian(facts: &Facts) -> String {
    let Facts { case, received, registered, due, erased, days, .. } = facts;
    let scope = facts.app.as_ref().map_or_else(
        || "Отзыв распространяется на все приложения, которые передают нам статистику.".to_owned(),
        |app| format!("Отзыв распространяется на приложение {app}."),
    );
    let found = match (facts.usage, facts.places) {
        (true, true) => "Найдены и удалены записи об использовании приложения и записи о приблизительном районе.",
        (true, false) => {
            "Найдены и удалены записи об использовании приложения. Записей о приблизительном районе не было."
        }
        (false, true) => {
            "Найдены и удалены записи о приблизительном районе. Записей об использовании приложения не было."
        }
        (false, false) => "Относящихся к ним записей не найдено.",
    };
    let searched = if days.is_empty() {
        format!(
            "По состоянию на {erased} не было ни одного дня, записи которого ещё можно было бы отнести к конкретному устройству."
        )
    } else {
        format!(
            "{erased} был проведён поиск по указанным Вами идентификаторам среди записей, которые ещё можно было отнести к конкретному устройству. Это записи за следующие дни: {days}. {found}"
        )
    };
    let (head, list) = if facts.listed {
        (
            "Всё, что передаётся с указанными Вами идентификаторами, отбрасывается при получении и не сохраняется. ",
            "Для этого в списке исключений хранятся сокращённые кодовые метки указанных Вами идентификаторов. Они служат только этой цели. Восстановить по ним идентификаторы невозможно; одна и та же метка может принадлежать нескольким устройствам и не позволяет установить Ваше. Список существует до уничтожения его ключа.",
        )
    } else {
        (
            "",
            "Список исключений, в который было внесено Ваше устройство, впоследствии закрыт: его метки и ключ уничтожены. Если Ваше устройство вновь начнёт передавать статистику, отключите, пожалуйста, соответствующую цель в настройках приложения.",
        )
    };
    format!(
        "Об отзыве согласия, обращение № {case}

Ваше письменное уведомление об отзыве согласия получено {received} и зарегистрировано {registered} под № {case}. {scope} \
Согласно пункту 1.3 политики конфиденциальности такое уведомление направляется не менее чем за {DAYS} календарных дней до предполагаемой даты прекращения использования данных; этот срок истекает {due}. Фактически использование Ваших данных прекращено с момента регистрации уведомления.

1. Сбор данных прекращён. {head}{list}

2. Удаление записей. {searched}

3. Иных данных, которые можно отнести к Вам, нет. При закрытии каждого дня его записи уничтожаются вместе с ключом, который позволял отнести их к конкретному устройству. Остаются только суммарные числа по многим устройствам, к которым добавлен случайный шум. Они не содержат идентификаторов, и никто, включая нас, не может установить, учтено ли в них Ваше устройство; поэтому выделить в них что-либо и удалить невозможно.

Указанные Вами идентификаторы использовались только для исполнения обращения и не сохранены. По обращению хранятся его номер, даты и отметка о том, были ли найдены записи.
",
    )
}

fn kazakh(facts: &Facts) -> String {
    let Facts { case, received, registered, due, erased, days, .. } = facts;
    let scope = facts.app.as_ref().map_or_else(
        || "Кері қайтарып алу бізге статистика жіберетін барлық қосымшаға қолданылады.".to_owned(),
        |app| format!("Кері қайтарып алу {app} қосымшасына қолданылады."),
    );
    let found = match (facts.usage, facts.places) {
        (true, true) => {
            "Қосымшаның пайдаланылуы туралы жазбалар мен шамамен алынған аумақ туралы жазбалар табылып, жойылды."
        }
        (true, false) => {
            "Қосымшаның пайдаланылуы туралы жазбалар табылып, жойылды. Шамамен алынған аумақ туралы жазбалар болған жоқ."
        }
        (false, true) => {
            "Шамамен алынған аумақ туралы жазбалар табылып, жойылды. Қосымшаның пайдаланылуы туралы жазбалар болған жоқ."
        }
        (false, false) => "Оларға қатысты жазбалар табылған жоқ.",
    };
    let searched = if days.is_empty() {
        format!(
            "Тексеру күні – {erased}. Бұл күні жазбаларын нақты құрылғыға жатқызуға болатын бірде-бір күн болған жоқ."
        )
    } else {
        format!(
            "Іздеу жүргізілген күн – {erased}. Сіз көрсеткен сәйкестендіргіштер нақты құрылғыға әлі жатқызуға болатын жазбалардың арасынан ізделді. Бұл – мына күндердің жазбалары: {days}. {found}"
        )
    };
    let (head, list) = if facts.listed {
        (
            "Сіз көрсеткен сәйкестендіргіштермен жіберілген деректер қабылданған бойда алып тасталады және сақталмайды. ",
            "Ол үшін алып тастау тізімінде сіз көрсеткен сәйкестендіргіштердің қысқартылған кодтық белгілері сақталады. Олар тек осы мақсатқа қызмет етеді. Белгілер бойынша сәйкестендіргіштерді қалпына келтіру мүмкін емес; бір белгі бірнеше құрылғыға тиесілі болуы мүмкін, сондықтан ол сіздің құрылғыңызды анықтауға мүмкіндік бермейді. Тізім оның кілті жойылғанға дейін сақталады.",
        )
    } else {
        (
            "",
            "Құрылғыңыз енгізілген алып тастау тізімі кейіннен жабылды: оның белгілері мен кілті жойылды. Құрылғыңыз статистиканы қайтадан жібере бастаса, қосымшаның баптауларында тиісті мақсатты өшіруіңізді сұраймыз.",
        )
    };
    format!(
        "Келісімді кері қайтарып алу туралы, № {case} өтініш

Келісімді кері қайтарып алу туралы жазбаша хабарламаңыз алынған күн – {received}, тіркелген күні – {registered}, тіркеу нөмірі – № {case}. {scope} \
Деректерді құпия сақтау саясатының 1.3-тармағына сәйкес мұндай хабарлама деректерді пайдалануды тоқтатудың болжамды күніне дейін кемінде күнтізбелік {DAYS} күн бұрын жіберіледі; бұл мерзімнің соңғы күні – {due}. Іс жүзінде деректеріңізді пайдалану хабарлама тіркелген сәттен бастап тоқтатылды.

1. Деректерді жинау тоқтатылды. {head}{list}

2. Жазбаларды жою. {searched}

3. Сізге жатқызуға болатын басқа деректер жоқ. Әр күн жабылған кезде оның жазбалары оларды нақты құрылғыға жатқызуға мүмкіндік берген кілтпен бірге жойылады. Тек көптеген құрылғы бойынша жиынтық сандар қалады, оларға кездейсоқ шу қосылған. Оларда сәйкестендіргіштер жоқ және олардың құрамында сіздің құрылғыңыздың бар-жоғын ешкім, оның ішінде біз де, анықтай алмайды; сондықтан олардан бірдеңені бөліп алып, жою мүмкін емес.

Сіз көрсеткен сәйкестендіргіштер тек өтінішті орындау үшін пайдаланылды және сақталған жоқ. Өтініш бойынша оның нөмірі, күндері және жазбалардың табылған-табылмағаны туралы белгі сақталады.
",
    )
}

#[cfg(test)]
mod tests {
    use super::super::case::{Case, CaseNumber, Erased, Step};
    use super::*;
    use crate::clock::timestamp;
    use jiff::civil::date;

    /// 2026-10-05T22:00:00Z, which is the sixth in Almaty.
    const NOW: i64 = 1_791_237_600_000;
    const ALL: [Language; 3] = [Language::Kk, Language::Ru, Language::En];

    fn standing(app: Option<&str>, step: Option<Step>) -> Standing {
        let number = CaseNumber::parse("W-2026/017").unwrap();
        let mut case = Case::begin(number, date(2026, 10, 1), app.map(Into::into), "a".into(), NOW);
        if let Some(step) = step {
            case.take(&step, timestamp(NOW));
        }
        Standing { case, listed: true, alarm: None }
    }

    fn erased(usage: bool, places: bool) -> Option<Step> {
        Some(Step::Erased(Erased { days: vec![date(2026, 10, 5), date(2026, 10, 6)], usage, places }))
    }

    fn written(standing: &Standing, language: Language) -> Option<String> {
        letter(standing, language, &TimeZone::get("Asia/Almaty").unwrap())
    }

    #[test]
    fn every_letter_tells_the_case_its_days_and_the_deadline_in_its_own_form() {
        let standing = standing(Some("kz.test.app"), erased(true, true));
        for (language, dates) in [
            (Language::Kk, ["2026 жылғы 1 қазан", "2026 жылғы 5 қазан, 2026 жылғы 6 қазан", "2026 жылғы 11 қазан"]),
            (
                Language::Ru,
                ["1 октября 2026 года", "5 октября 2026 года, 6 октября 2026 года", "11 октября 2026 года"],
            ),
            (Language::En, ["1 October 2026", "5 October 2026, 6 October 2026", "11 October 2026"]),
        ] {
            let text = written(&standing, language).unwrap();
            for part in dates.into_iter().chain(["W-2026/017", "kz.test.app", "1.3", "10"]) {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }

    #[test]
    fn letters_differ_by_what_was_found_and_whether_the_list_lasts() {
        for language in ALL {
            let mut texts = Vec::new();
            for (usage, places) in [(true, true), (true, false), (false, true), (false, false)] {
                texts.push(written(&standing(None, erased(usage, places)), language).unwrap());
            }
            texts.push(written(&Standing { listed: false, ..standing(None, erased(true, true)) }, language).unwrap());
            let none = Step::Erased(Erased { days: Vec::new(), usage: false, places: false });
            texts.push(written(&standing(None, Some(none)), language).unwrap());
            let all = texts.len();
            texts.sort();
            texts.dedup();
            assert_eq!(texts.len(), all);
        }
    }

    #[test]
    fn there_is_no_letter_before_the_rows_are_erased() {
        assert!(ALL.into_iter().all(|language| written(&standing(None, None), language).is_none()));
    }
}
