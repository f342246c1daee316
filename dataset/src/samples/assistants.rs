//! Samples of helpers: *Town guide* (Dolly: answers from a text) and *Soup kitchen* (ShareGPT: conversations).

use super::prose::{distinct, object, quoted};
use crate::rng::SplitMix64;

const TOWN_ROWS: usize = 240;
const SOUP_ROWS: usize = 160;

const FIRST: [&str; 12] =
    ["Alder", "Birch", "Crow", "Dun", "Elm", "Fern", "Grey", "Hazel", "Iron", "Lark", "Moss", "Otter"];
const SECOND: [&str; 8] = ["bridge", "ford", "haven", "mere", "stead", "wick", "brook", "hollow"];
const RIVERS: [&str; 8] = ["Ane", "Bruel", "Cass", "Dorn", "Ember", "Fleet", "Gill", "Hurn"];
const KNOWN_FOR: [&str; 10] = [
    "its clock that runs backwards",
    "honey cake",
    "a market of old books",
    "blue roof tiles",
    "its choir of millers",
    "the longest bench in the county",
    "plum brandy",
    "a museum of umbrellas",
    "hand-made bells",
    "its paper kites",
];
const FESTIVALS: [&str; 8] = [
    "the Night of Lanterns",
    "the Goose Race",
    "the Feast of Soup",
    "the Day of Open Doors",
    "the Ferry Dance",
    "the Apple Parade",
    "the Kite Week",
    "the Whistling Contest",
];
const MONTHS: [&str; 6] = ["April", "May", "June", "August", "September", "October"];

/// `instruction`, `context`, `response`, `category`
pub fn towns() -> String {
    let key = |row: &[String; 3]| format!("{}|{}", row[0], row[1]);
    let rows = distinct(0x70_3217, TOWN_ROWS, key, |rng, row| town(rng, row % 5));
    rows.iter()
        .map(|[instruction, context, response]| {
            object(&[
                ("instruction", instruction),
                ("context", context),
                ("response", response),
                ("category", "closed_qa"),
            ]) + "\n"
        })
        .collect()
}

fn town(rng: &mut SplitMix64, kind: usize) -> [String; 3] {
    let name = format!("{}{}", rng.pick(&FIRST), rng.pick(&SECOND));
    let (river, known, festival, month) =
        (rng.pick(&RIVERS), rng.pick(&KNOWN_FOR), rng.pick(&FESTIVALS), rng.pick(&MONTHS));
    let (people, founded) = (100 * (12 + rng.below(400)), 1100 + rng.below(700));
    let context = format!(
        "{name} lies on the river {river} and has about {people} inhabitants. It was founded in {founded}. The town \
         is known for {known}. Every year in {month}, people come from far away for {festival}."
    );
    let (question, answer) = match kind {
        0 => (format!("On which river does {name} lie?"), format!("{name} lies on the {river}.")),
        1 => (format!("How old is {name}?"), format!("It was founded in {founded}.")),
        2 => (format!("What is {name} known for?"), format!("{name} is known for {known}.")),
        3 => {
            ("When should I come if I like company?".to_owned(), format!("Come in {month}, for {festival}."))
        }
        _ => (
            format!("Describe {name} in one sentence."),
            format!("{name} is a town of about {people} people on the {river}, known for {known}."),
        ),
    };
    [question, context, answer]
}

const VEGETABLES: [&str; 14] = [
    "carrots",
    "leeks",
    "potatoes",
    "cabbage",
    "tomatoes",
    "pumpkin",
    "beans",
    "peas",
    "mushrooms",
    "celery",
    "spinach",
    "beetroot",
    "turnips",
    "lentils",
];
const HERBS: [&str; 8] = ["thyme", "parsley", "dill", "bay leaves", "marjoram", "chives", "caraway", "sage"];
const ASKS: [&str; 5] = [
    "I have {a} and {b}. What can I cook?",
    "There is nothing but {a} and {b} in the house.",
    "What would you do with {a} and {b}?",
    "Soup from {a} and {b}, is that possible?",
    "My guests come in an hour and I only have {a} and {b}.",
];
const SECONDS: [(&str, &str); 6] = [
    ("How long does it take?", "{minutes} minutes, most of which the pot does without you."),
    ("Can I freeze it?", "Yes, for three months. Leave the {herb} out until you warm it up."),
    (
        "And without an onion?",
        "Then fry the {a} a little longer, until the edges are brown: that gives the sweetness.",
    ),
    (
        "How much water?",
        "As much as covers the {a} by two fingers. You can always add, you can never take away.",
    ),
    (
        "It tastes of nothing.",
        "Salt, a spoon of vinegar, and five minutes more. It nearly always is the salt.",
    ),
    ("What goes with it?", "Bread that is a day old, fried in butter, and a bit of {herb} on top."),
];

/// `conversations` of `from` and `value`
pub fn soups() -> String {
    let rows = distinct(0x50_0b, SOUP_ROWS, |row: &String| row.clone(), |rng, _| soup(rng));
    rows.iter().map(|row| format!("{row}\n")).collect()
}

fn soup(rng: &mut SplitMix64) -> String {
    let first = rng.below(VEGETABLES.len() as u64) as usize;
    let second = (first + 1 + rng.below(VEGETABLES.len() as u64 - 1) as usize) % VEGETABLES.len();
    let (a, b, herb) = (VEGETABLES[first], VEGETABLES[second], rng.pick(&HERBS));
    let minutes = (20 + 5 * rng.below(6)).to_string();
    let fill = |text: &str| {
        text.replace("{a}", a).replace("{b}", b).replace("{herb}", herb).replace("{minutes}", &minutes)
    };
    let recipe = format!(
        "A soup of {a} with {b}: fry an onion, add the {a}, cover with water and let it simmer. Put the {b} in for the last \
         ten minutes, then {herb}, salt and pepper."
    );
    let mut turns = vec![("human", fill(rng.pick(&ASKS))), ("gpt", recipe)];
    if rng.chance(2, 3) {
        let (question, answer) = SECONDS[rng.below(SECONDS.len() as u64) as usize];
        turns.push(("human", question.to_owned()));
        turns.push(("gpt", fill(answer)));
    }
    let turns: Vec<String> = turns
        .iter()
        .map(|(from, value)| format!("{{\"from\": \"{from}\", \"value\": {}}}", quoted(value)))
        .collect();
    format!("{{\"conversations\": [{}]}}", turns.join(", "))
}
