//! *Sentences to commands*: spoken requests and the JSON a program would act on. The sample that shows what
//! tuning is, because anyone can see whether an answer is right. Closed word lists keep it learnable from
//! nothing by a model of a few million weights; the held-out rows share the words but no whole sentence.

use std::collections::HashSet;
use std::fmt::Write;

use super::prose::capitalised;
use crate::example::Example;
use crate::rng::SplitMix64;

pub const TRAINING_ROWS: usize = 3_000;
pub const HELD_OUT_ROWS: usize = 200;

const NAMES: [&str; 36] = [
    "Anna",
    "Ben",
    "Carla",
    "David",
    "Emma",
    "Felix",
    "Grace",
    "Hugo",
    "Iris",
    "Jonas",
    "Karim",
    "Lena",
    "Marta",
    "Nils",
    "Olga",
    "Paul",
    "Rosa",
    "Samir",
    "Tessa",
    "Vera",
    "Mia",
    "Leo",
    "Ines",
    "Omar",
    "Julia",
    "Tom",
    "Sara",
    "Victor",
    "Nora",
    "Max",
    "Elena",
    "Oscar",
    "Mom",
    "Dad",
    "Grandma",
    "the landlord",
];
const CHORES: [&str; 28] = [
    "water the plants",
    "pay the rent",
    "take out the trash",
    "feed the cat",
    "walk the dog",
    "book the flights",
    "charge the car",
    "renew the passport",
    "pick up the parcel",
    "clean the kitchen",
    "return the books",
    "buy milk",
    "buy bread",
    "order the cake",
    "lock the back door",
    "take the medicine",
    "wash the car",
    "sign the contract",
    "print the tickets",
    "hang up the laundry",
    "send the invoice",
    "update the report",
    "turn off the oven",
    "check the mail",
    "pack the suitcase",
    "join the meeting",
    "fix the bike",
    "go for a run",
];
const CONTACTS: [&str; 5] = ["call", "visit", "write to", "meet", "thank"];
const DISHES: [&str; 20] = [
    "pasta", "eggs", "rice", "pizza", "tea", "bread", "soup", "cake", "potatoes", "cookies", "laundry",
    "workout", "chicken", "coffee", "nap", "lentils", "pie", "stew", "roast", "beans",
];
const MINUTES: [&str; 18] =
    ["2", "3", "4", "5", "6", "7", "8", "9", "10", "12", "15", "18", "20", "25", "30", "40", "45", "50"];
const TEXTS: [&str; 26] = [
    "I am on my way",
    "dinner is ready",
    "the train is late",
    "I will be there soon",
    "the meeting is over",
    "we need more milk",
    "the keys are under the mat",
    "I found your scarf",
    "the parcel has arrived",
    "practice starts early",
    "I am stuck in traffic",
    "the cake turned out well",
    "we won the game",
    "the car is fixed",
    "I miss you",
    "lunch is on me",
    "the door is open",
    "I sent the photos",
    "the movie starts at eight",
    "I forgot my umbrella",
    "the test went well",
    "we are at the station",
    "the baby is asleep",
    "I left the tickets at home",
    "the shop is closed",
    "see you tomorrow",
];
const CITIES: [&str; 32] = [
    "Oslo", "Paris", "Rome", "Berlin", "Madrid", "Lisbon", "Vienna", "Prague", "Dublin", "London", "Athens",
    "Warsaw", "Zurich", "Milan", "Cairo", "Nairobi", "Lagos", "Tokyo", "Seoul", "Delhi", "Sydney", "Boston",
    "Chicago", "Denver", "Toronto", "Lima", "Bogota", "Quito", "Helsinki", "Istanbul", "Hanoi", "Dakar",
];
const DAYS: [&str; 10] = [
    "today",
    "tomorrow",
    "tonight",
    "on Monday",
    "on Tuesday",
    "on Wednesday",
    "on Thursday",
    "on Friday",
    "on Saturday",
    "on Sunday",
];
const MUSIC: [&str; 28] = [
    "jazz",
    "rock",
    "soul",
    "blues",
    "folk",
    "opera",
    "disco",
    "reggae",
    "techno",
    "salsa",
    "swing",
    "punk",
    "country",
    "funk",
    "choir music",
    "piano music",
    "guitar music",
    "film music",
    "summer hits",
    "old classics",
    "birdsong",
    "rain sounds",
    "party songs",
    "love songs",
    "sea shanties",
    "lullabies",
    "brass bands",
    "tango",
];
const ROOMS: [&str; 10] = [
    "kitchen",
    "bedroom",
    "bathroom",
    "living room",
    "office",
    "garage",
    "garden",
    "hallway",
    "attic",
    "basement",
];

/// The training rows and the held-out rows, all different from each other.
pub fn rows() -> (Vec<Example<'static>>, Vec<Example<'static>>) {
    let mut rng = SplitMix64::new(0x5e17_e9ce);
    let mut seen = HashSet::new();
    let mut rows = Vec::with_capacity(TRAINING_ROWS + HELD_OUT_ROWS);
    while rows.len() < TRAINING_ROWS + HELD_OUT_ROWS {
        // Intents take turns, so that each has its fifth in both files.
        let (sentence, command) = match rows.len() % 5 {
            0 => reminder(&mut rng),
            1 => timer(&mut rng),
            2 => message(&mut rng),
            3 => weather(&mut rng),
            _ => music(&mut rng),
        };
        if !seen.insert(sentence.clone()) {
            continue;
        }
        let sentence = if rng.chance(1, 5) { capitalised(&sentence) } else { sentence };
        rows.push(Example::completion(sentence, command));
    }
    let held_out = rows.split_off(TRAINING_ROWS);
    (rows, held_out)
}

/// A time as spoken, and as a program writes it: "5:30 pm", "17:30".
fn time(rng: &mut SplitMix64) -> (String, String) {
    let hour = 6 + rng.below(17);
    let minute = if rng.chance(1, 2) { 0 } else { 15 * (1 + rng.below(3)) };
    let (spoken_hour, half) = match hour {
        0..=11 => (hour, "am"),
        12 => (12, "pm"),
        _ => (hour - 12, "pm"),
    };
    let spoken =
        if minute == 0 { format!("{spoken_hour} {half}") } else { format!("{spoken_hour}:{minute} {half}") };
    (spoken, format!("{hour:02}:{minute:02}"))
}

fn reminder(rng: &mut SplitMix64) -> (String, String) {
    let what = if rng.chance(1, 2) {
        format!("{} {}", rng.pick(&CONTACTS), rng.pick(&NAMES))
    } else {
        rng.pick(&CHORES).to_owned()
    };
    let (spoken, time) = time(rng);
    let sentence = match rng.below(3) {
        0 => format!("remind me to {what} at {spoken}"),
        1 => format!("at {spoken} remind me to {what}"),
        _ => format!("don't let me forget to {what} at {spoken}"),
    };
    (sentence, command("reminder", &[("what", &what), ("time", &time)]))
}

fn timer(rng: &mut SplitMix64) -> (String, String) {
    let (minutes, label) = (rng.pick(&MINUTES), rng.pick(&DISHES));
    let sentence = match rng.below(3) {
        0 => format!("set a timer for {minutes} minutes for the {label}"),
        1 => format!("start a {minutes} minute timer for the {label}"),
        _ => format!("give the {label} {minutes} minutes"),
    };
    (sentence, command("timer", &[("minutes", minutes), ("label", label)]))
}

fn message(rng: &mut SplitMix64) -> (String, String) {
    let (to, text) = (rng.pick(&NAMES), rng.pick(&TEXTS));
    let sentence = match rng.below(3) {
        0 => format!("send {to} a message saying {text}"),
        1 => format!("text {to} that {text}"),
        _ => format!("let {to} know that {text}"),
    };
    (sentence, command("message", &[("to", to), ("text", text)]))
}

fn weather(rng: &mut SplitMix64) -> (String, String) {
    let (city, spoken) = (rng.pick(&CITIES), rng.pick(&DAYS));
    let day = spoken.strip_prefix("on ").unwrap_or(spoken);
    let sentence = match rng.below(3) {
        0 => format!("what is the weather in {city} {spoken}"),
        1 => format!("will it rain in {city} {spoken}"),
        _ => format!("do I need a coat in {city} {spoken}"),
    };
    (sentence, command("weather", &[("city", city), ("day", day)]))
}

fn music(rng: &mut SplitMix64) -> (String, String) {
    let (what, room) = (rng.pick(&MUSIC), rng.pick(&ROOMS));
    let sentence = match rng.below(3) {
        0 => format!("play {what} in the {room}"),
        1 => format!("put on some {what} in the {room}"),
        _ => format!("I want to hear {what} in the {room}"),
    };
    (sentence, command("music", &[("what", what), ("room", room)]))
}

/// The JSON of a command, spaced as people write it. The word lists hold nothing that needs escaping.
fn command(intent: &str, slots: &[(&str, &str)]) -> String {
    let mut json = format!("{{\"intent\": \"{intent}\"");
    for (name, value) in slots {
        let number = value.bytes().all(|byte| byte.is_ascii_digit());
        let quote = if number { "" } else { "\"" };
        // Writing to a String cannot fail.
        let _ = write!(json, ", \"{name}\": {quote}{value}{quote}");
    }
    json.push('}');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt_and_completion<'a>(row: &'a Example<'_>) -> (&'a str, &'a str) {
        match row {
            Example::Completion { prompt, completion } => (prompt, completion),
            other => panic!("not a completion: {other:?}"),
        }
    }

    #[test]
    fn held_out_sentences_are_not_in_the_training_rows() {
        let (training, held_out) = rows();
        assert_eq!((training.len(), held_out.len()), (TRAINING_ROWS, HELD_OUT_ROWS));
        let seen: HashSet<String> =
            training.iter().map(|row| prompt_and_completion(row).0.to_lowercase()).collect();
        assert_eq!(seen.len(), TRAINING_ROWS);
        assert!(held_out.iter().all(|row| !seen.contains(&prompt_and_completion(row).0.to_lowercase())));
    }

    #[test]
    fn every_command_is_json_with_one_of_five_intents() {
        let (training, held_out) = rows();
        let mut intents = HashSet::new();
        for row in training.iter().chain(&held_out) {
            let value: serde_json::Value = serde_json::from_str(prompt_and_completion(row).1).unwrap();
            intents.insert(value["intent"].as_str().unwrap().to_owned());
        }
        assert_eq!(intents.len(), 5);
    }
}
