//! Samples whose answers can be checked: *Everyday sums* (question and answer) and *Word tasks* (Alpaca).

use super::prose::{capitalised, distinct, object};
use crate::rng::SplitMix64;

const SUMS: usize = 400;
const WORD_TASKS: usize = 240;

const NAMES: [&str; 10] = ["Ada", "Boris", "Clara", "Dilan", "Elif", "Frida", "Goran", "Hanna", "Ivo", "Jun"];
const GOODS: [&str; 8] =
    ["apples", "pencils", "stamps", "candles", "oranges", "postcards", "buttons", "eggs"];
const DISHES: [&str; 6] =
    ["pancakes", "lentil soup", "apple cake", "dumplings", "bread rolls", "rice pudding"];
const THINGS: [&str; 5] = ["flour", "milk", "sugar", "butter", "water"];
const TOWNS: [&str; 8] = ["Arnhem", "Brest", "Cork", "Dover", "Essen", "Faro", "Ghent", "Hull"];

/// `question`, `answer`
pub fn sums() -> String {
    let rows =
        distinct(0x5045_0001, SUMS, |row: &(String, String)| row.0.clone(), |rng, row| sum(rng, row % 4));
    rows.iter()
        .map(|(question, answer)| object(&[("question", question), ("answer", answer)]) + "\n")
        .collect()
}

fn sum(rng: &mut SplitMix64, kind: usize) -> (String, String) {
    let name = rng.pick(&NAMES);
    match kind {
        0 => {
            let (goods, count, price) = (rng.pick(&GOODS), 2 + rng.below(11), 2 + rng.below(8));
            let total = count * price;
            (
                format!("{name} buys {count} {goods} at {price} cents each. How much is that?"),
                format!(
                    "{count} {goods} at {price} cents are {count} x {price} = {total} cents. The answer is {total}."
                ),
            )
        }
        1 => {
            let (dish, thing) = (rng.pick(&DISHES), rng.pick(&THINGS));
            let (grams, factor) = (50 * (1 + rng.below(8)), 2 + rng.below(4));
            let (few, many, total) = (2, 2 * factor, grams * factor);
            (
                format!(
                    "A recipe of {dish} for {few} people needs {grams} g of {thing}. {name} cooks for {many}. How much {thing} is needed?"
                ),
                format!(
                    "{many} people are {factor} times {few}, so it takes {factor} x {grams} = {total} g. The answer is {total}."
                ),
            )
        }
        2 => {
            let (from, speed, hours) = (rng.below(8) as usize, 10 * (2 + rng.below(10)), 2 + rng.below(6));
            let (from, to, total) = (TOWNS[from], TOWNS[(from + 3) % 8], speed * hours);
            (
                format!(
                    "A train goes from {from} towards {to} at {speed} km an hour. How far is it after {hours} hours?"
                ),
                format!("In {hours} hours it goes {hours} x {speed} = {total} km. The answer is {total}."),
            )
        }
        _ => {
            let (goods, had, gave) = (rng.pick(&GOODS), 20 + rng.below(60), 1 + rng.below(9));
            let bought = 1 + rng.below(20);
            let (left, total) = (had - gave, had - gave + bought);
            (
                format!(
                    "{name} has {had} {goods}, gives away {gave} and buys {bought} more. How many are there now?"
                ),
                format!("{had} - {gave} = {left}, and {left} + {bought} = {total}. The answer is {total}."),
            )
        }
    }
}

const WORDS: [&str; 32] = [
    "anchor", "basket", "candle", "dragon", "engine", "feather", "garden", "hammer", "island", "jacket",
    "kettle", "ladder", "mirror", "needle", "orange", "pillow", "quill", "ribbon", "saddle", "teapot",
    "umbrella", "violin", "window", "yacht", "zipper", "bridge", "copper", "flute", "marble", "pepper",
    "rocket", "thunder",
];
const SENTENCES: [(&str, &str); 12] = [
    ("The cat sleeps on the stairs", "The cat slept on the stairs"),
    ("We walk along the river", "We walked along the river"),
    ("She writes a long letter", "She wrote a long letter"),
    ("They sing in the kitchen", "They sang in the kitchen"),
    ("I bring a loaf of bread", "I brought a loaf of bread"),
    ("The bus comes at noon", "The bus came at noon"),
    ("He finds a coin in the snow", "He found a coin in the snow"),
    ("You know the way home", "You knew the way home"),
    ("The children build a raft", "The children built a raft"),
    ("My aunt drinks black tea", "My aunt drank black tea"),
    ("The wind blows from the sea", "The wind blew from the sea"),
    ("Our neighbours grow beans", "Our neighbours grew beans"),
];

/// One JSON array of `instruction`, `input`, `output`.
pub fn words() -> String {
    let key = |row: &[String; 3]| format!("{}|{}", row[0], row[1]);
    let rows = distinct(0x0a1b_aca0, WORD_TASKS, key, |rng, row| task(rng, row % 5));
    let rows: Vec<String> = rows
        .iter()
        .map(|[instruction, input, output]| {
            format!("  {}", object(&[("instruction", instruction), ("input", input), ("output", output)]))
        })
        .collect();
    format!("[\n{}\n]\n", rows.join(",\n"))
}

fn task(rng: &mut SplitMix64, kind: usize) -> [String; 3] {
    let mut list: Vec<&str> = Vec::new();
    while list.len() < 4 {
        let word = rng.pick(&WORDS);
        if !list.contains(&word) {
            list.push(word);
        }
    }
    let joined = list.join(", ");
    let [instruction, input, output] = match kind {
        0 => {
            let mut sorted = list.clone();
            sorted.sort_unstable();
            ["Put these words into alphabetical order.", &joined, &sorted.join(", ")].map(str::to_owned)
        }
        1 => {
            let capitals: Vec<String> = list.iter().map(|word| capitalised(word)).collect();
            ["Write each of these words with a capital letter.", &joined, &capitals.join(", ")]
                .map(str::to_owned)
        }
        2 => {
            let longest = list.iter().max_by_key(|word| (word.len(), std::cmp::Reverse(**word)));
            let longest = longest.copied().unwrap_or_default();
            let output = format!("{longest}, with {} letters", longest.len());
            [
                "Which word is the longest? Of equally long ones, take the first in the alphabet.",
                &joined,
                &output,
            ]
            .map(str::to_owned)
        }
        3 => {
            let (present, past) = SENTENCES[rng.below(SENTENCES.len() as u64) as usize];
            let when = rng.pick(&["yesterday", "last week", "long ago", "that day", "in those years"]);
            [
                format!("Tell this in the past tense, and say that it was {when}."),
                format!("{present}."),
                format!("{past} {when}."),
            ]
        }
        _ => {
            let (first, second) = (list[0], list[1]);
            [
                format!("Name one thing that \"{first}\" and \"{second}\" have in common as words."),
                String::new(),
                common(first, second),
            ]
        }
    };
    [instruction, input, output]
}

fn common(first: &str, second: &str) -> String {
    let shared: Vec<char> =
        ('a'..='z').filter(|letter| first.contains(*letter) && second.contains(*letter)).collect();
    match shared[..] {
        [] if first.len() == second.len() => format!("Both have {} letters.", first.len()),
        [] => "They do not share a single letter.".to_owned(),
        [letter, ..] => format!("Both have the letter {letter}."),
    }
}
