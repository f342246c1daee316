//! Plain texts with a manner that shows: *Harbour ballads* (rhymed quatrains) and *Garden notes* (Markdown).

use super::prose::{capitalised, distinct};
use crate::rng::SplitMix64;

const BALLADS: usize = 100;

const NAMES: [&str; 14] = [
    "Captain Moll",
    "old Tom Barrow",
    "Jenny Reed",
    "the pilot's son",
    "Black-eyed Kate",
    "young Will Marsh",
    "the ferryman",
    "Widow Grey",
    "Hob the cook",
    "Sailor Joan",
    "the bosun's mate",
    "Blind Peter",
    "Nan of the Quay",
    "the smuggler's daughter",
];
const SHIPS: [&str; 10] = [
    "the Merry Wren",
    "the Silver Eel",
    "the Patient Anne",
    "the Northern Crown",
    "the Salty Bride",
    "the Grey Goose",
    "the Lucky Penny",
    "the Evening Star",
    "the Broken Oar",
    "the Queen of Herrings",
];
/// Pairs of line ends that rhyme; a line is a beginning and an end.
const RHYMES: [(&str, &str); 20] = [
    ("upon the open sea", "as wild as wild could be"),
    ("before the break of day", "and sailed her far away"),
    ("beneath a silver moon", "and whistled half a tune"),
    ("when all the bells were rung", "a song that none had sung"),
    ("across the harbour bar", "to follow one white star"),
    ("as cold as winter rain", "and never came again"),
    ("against the western gale", "and mended every sail"),
    ("beside the tavern door", "and sang it out once more"),
    ("with barrels in the hold", "of herring, salt and gold"),
    ("along the pebbled strand", "a lantern in the hand"),
    ("while gulls were wheeling high", "beneath a stormy sky"),
    (", till morning found them there", "with seaweed in their hair"),
    ("among the rocks and foam", "and thought of hearth and home"),
    (", and never told them why", "but kissed them all goodbye"),
    ("as steady as a stone", "and took the watch alone"),
    (", the tide was running low", "with seven miles to go"),
    (", the fog came rolling in", "as soft as any sin"),
    (", a letter in the sand", "in no one's native hand"),
    (", the rum was passed around", "without a single sound"),
    (", the anchor would not hold", "and all the stoves were cold"),
];
const BEGINNINGS: [&str; 12] = [
    "She rode the swell",
    "They hauled the net",
    "He swore an oath",
    "They lit the lamp",
    "She heard a voice",
    "The crew stood by",
    "He cast the line",
    "They drank to love",
    "She turned the wheel",
    "The old dog barked",
    "They rowed all night",
    "He climbed the mast",
];
const REFRAINS: [&str; 6] = [
    "Heave away, my darlings, heave, the harbour lights are low.",
    "Oh, the sea gives back in summer what she took from us in snow.",
    "Sing it once for those who sail, and twice for those who stay.",
    "Roll, you long grey water, roll, and roll us home to bed.",
    "And the bell upon the headland rang for nobody at all.",
    "Pull together, pull, my hearties, there is supper on the shore.",
];

/// Ballads with titles, about 90 kB.
pub fn text() -> String {
    let ballads = distinct(0xba11_ad00, BALLADS, String::clone, |rng, _| ballad(rng));
    ballads.join("\n")
}

fn ballad(rng: &mut SplitMix64) -> String {
    let (name, ship, refrain) = (rng.pick(&NAMES), rng.pick(&SHIPS), rng.pick(&REFRAINS));
    let mut text = format!("THE BALLAD OF {}\n\n", name.to_uppercase());
    for stanza in 0..3 + rng.below(3) {
        let (first, second) = two(rng, RHYMES.len());
        let (third, fourth) = two(rng, BEGINNINGS.len());
        let (a, b) = RHYMES[first];
        let (c, d) = RHYMES[second];
        let opening = if stanza == 0 {
            format!("{} took {ship}{},", capitalised(name), joined(a))
        } else {
            format!("{}{},", BEGINNINGS[third], joined(a))
        };
        let stanza = [
            opening,
            format!("{}.", capitalised(b)),
            format!("{}{},", BEGINNINGS[fourth], joined(c)),
            format!("{}.", capitalised(d)),
        ];
        text.push_str(&stanza.join("\n"));
        text.push_str(&format!("\n    {refrain}\n\n"));
    }
    text
}

/// The end of a line after its beginning: some follow a comma, the others a space.
fn joined(end: &str) -> String {
    if end.starts_with(',') { end.to_owned() } else { format!(" {end}") }
}

/// Two different numbers below `bound`.
fn two(rng: &mut SplitMix64, bound: usize) -> (usize, usize) {
    let first = rng.below(bound as u64) as usize;
    (first, (first + 1 + rng.below(bound as u64 - 1) as usize) % bound)
}

const MONTHS: [&str; 12] = [
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
const SEASONAL: [[&str; 4]; 4] = [
    ["sharpen the spade", "order the seeds", "knock the snow off the hedge", "turn the apples in the cellar"],
    ["sow the peas", "prune the roses", "set the first potatoes", "harden off the seedlings"],
    ["water before eight", "tie up the tomatoes", "pick the currants", "sow the second salad"],
    ["rake the leaves", "plant garlic", "dig over the far bed", "bring in the geraniums"],
];
const SEEN: [&str; 12] = [
    "A blackbird has taken the pear tree for its own.",
    "The first bee of the day looked as sleepy as I was.",
    "Slugs: eleven. Patience: none.",
    "The soil smells of bread when the sun is on it.",
    "The cat sleeps in the seed tray again, and nothing will ever grow there.",
    "A hedgehog crossed the path as if it were paying rent.",
    "The neighbour's hens came over to inspect the beans.",
    "The frost drew ferns on the glass of the cold frame.",
    "Somebody small has eaten exactly half of every radish.",
    "The rain barrel is full, which is more than I can say of the shed.",
    "A robin watched me dig and took its share.",
    "The swallows are back, and they have brought friends.",
];
const LESSONS: [&str; 8] = [
    "What is planted in a hurry grows in a sulk.",
    "Label everything; memory is compost.",
    "Water the roots and not the leaves.",
    "A straight row is for the gardener, not for the carrot.",
    "Weeds wait for holidays.",
    "Half of gardening is standing still.",
    "Never lend the good shears.",
    "Every bed forgives once.",
];

/// Notes of five years, a section for each week that had one.
pub fn garden() -> String {
    let mut rng = SplitMix64::new(0x6a_7de4);
    let mut text = "# Garden notes\n\nWhat was done, what was seen, and what was learned.\n".to_owned();
    for year in 1..=5 {
        text.push_str(&format!("\n## Year {year}\n"));
        for (month, name) in MONTHS.iter().enumerate() {
            let season = [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0][month];
            for week in 1..=2 + rng.below(2) {
                let (first, second) = two(&mut rng, 4);
                let tasks = [SEASONAL[season][first], SEASONAL[season][second]].map(capitalised);
                text.push_str(&format!("\n### {name}, week {week}\n\n- {}\n- {}\n", tasks[0], tasks[1]));
                text.push_str(&format!("\n{}", rng.pick(&SEEN)));
                if rng.chance(1, 2) {
                    text.push_str(&format!(" *{}*", rng.pick(&LESSONS)));
                }
                text.push('\n');
            }
        }
    }
    text
}
