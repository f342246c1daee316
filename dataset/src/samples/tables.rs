//! Samples in tables: *Support tickets* (CSV, with columns that need a meaning) and *Written dates* (TSV).

use super::prose::{capitalised, distinct};
use crate::rng::SplitMix64;

const TICKETS: usize = 400;
const DATES: usize = 600;

struct Team {
    label: &'static str,
    subjects: [&'static str; 5],
    troubles: [&'static str; 6],
}

const TEAMS: [Team; 5] = [
    Team {
        label: "billing",
        subjects: [
            "Wrong amount",
            "Invoice missing",
            "Charged twice",
            "Refund",
            "Change of address on the invoice",
        ],
        troubles: [
            "the invoice shows one seat too many",
            "my card was charged twice this month",
            "I cannot find the invoice for March",
            "the discount is not on the bill",
            "the refund has not arrived",
            "the company name on the invoice is wrong",
        ],
    },
    Team {
        label: "account",
        subjects: ["Cannot sign in", "Password", "Close my account", "New phone", "Invitation"],
        troubles: [
            "the sign-in page says that my password is wrong",
            "the reset link has expired",
            "I have a new phone and no codes any more",
            "my colleague never got the invitation",
            "I would like to change my e-mail address",
            "please close the account of a former employee",
        ],
    },
    Team {
        label: "delivery",
        subjects: ["Where is my parcel?", "Damaged parcel", "Wrong item", "Delivery time", "Pick-up point"],
        troubles: [
            "the parcel was due on Monday",
            "the box arrived open and wet",
            "there are two lamps in place of one desk",
            "the tracking page has not changed for a week",
            "nobody was at home and the note is unreadable",
            "the pick-up point is closed",
        ],
    },
    Team {
        label: "technical",
        subjects: ["It crashes", "Very slow", "Export does not work", "Error message", "Update"],
        troubles: [
            "the app closes when I open a photo",
            "the report takes ten minutes to load",
            "the export file is empty",
            "there is an error with the number 504",
            "since the update the menu is in another language",
            "the search finds nothing at all",
        ],
    },
    Team {
        label: "praise",
        subjects: ["Thank you", "Well done", "A compliment", "Happy customer", "Just a note"],
        troubles: [
            "your colleague on the phone was very patient",
            "the new version is a joy to use",
            "the parcel came a day early",
            "I got an answer within an hour",
            "the manual is really well written",
            "we have recommended you to our neighbours",
        ],
    },
];
const OPENINGS: [&str; 6] =
    ["Hello, ", "Dear team, ", "Good morning, ", "Hi, ", "", "To whom it may concern: "];
const CLOSINGS: [&str; 6] = [
    "",
    " Could you have a look?",
    " I use version 4.2.",
    " Kind regards, Rosa",
    " This is the second time I write.",
    " No hurry.",
];

/// After praise, nobody asks for help.
const THANKS: [&str; 4] = ["", " Please pass it on.", " Kind regards, Rosa", " Keep it up!"];

/// `ticket,subject,message,label`
pub fn tickets() -> String {
    let rows = distinct(
        0x71c4_e700,
        TICKETS,
        |row: &(String, String, &str)| format!("{}|{}", row.0, row.1),
        |rng, row| {
            let team = &TEAMS[row % TEAMS.len()];
            let closing = if team.label == "praise" { rng.pick(&THANKS) } else { rng.pick(&CLOSINGS) };
            let opening = rng.pick(&OPENINGS);
            let trouble = rng.pick(&team.troubles);
            let trouble = if opening.is_empty() { capitalised(trouble) } else { trouble.to_owned() };
            (rng.pick(&team.subjects).to_owned(), format!("{opening}{trouble}.{}", closing), team.label)
        },
    );
    let mut csv = "ticket,subject,message,label\n".to_owned();
    for (number, (subject, message, label)) in rows.into_iter().enumerate() {
        let number = 1001 + number;
        csv.push_str(&format!("{number},{},{},{label}\n", field(&subject), field(&message)));
    }
    csv
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

const MONTHS: [(&str, u64); 12] = [
    ("January", 31),
    ("February", 28),
    ("March", 31),
    ("April", 30),
    ("May", 31),
    ("June", 30),
    ("July", 31),
    ("August", 31),
    ("September", 30),
    ("October", 31),
    ("November", 30),
    ("December", 31),
];

/// `prompt`, tab, `completion`
pub fn dates() -> String {
    let rows = distinct(0xda7e_5000, DATES, |row: &(String, String)| row.0.clone(), |rng, _| date(rng));
    let mut tsv = "prompt\tcompletion\n".to_owned();
    for (written, plain) in rows {
        tsv.push_str(&format!("{written}\t{plain}\n"));
    }
    tsv
}

fn date(rng: &mut SplitMix64) -> (String, String) {
    let month = rng.below(12) as usize;
    let (name, days) = MONTHS[month];
    let (day, year) = (1 + rng.below(days), 1950 + rng.below(80));
    let short = &name[..3];
    let written = match rng.below(5) {
        0 => format!("{day} {name} {year}"),
        1 => format!("{name} {day}, {year}"),
        2 => format!("the {} of {name} {year}", ordinal(day)),
        3 => format!("{day} {short} {year}"),
        _ => format!("{day}.{}.{year}", month + 1),
    };
    (written, format!("{year}-{:02}-{day:02}", month + 1))
}

fn ordinal(day: u64) -> String {
    let ending = match (day % 10, day / 10) {
        (1, tens) if tens != 1 => "st",
        (2, tens) if tens != 1 => "nd",
        (3, tens) if tens != 1 => "rd",
        _ => "th",
    };
    format!("{day}{ending}")
}
