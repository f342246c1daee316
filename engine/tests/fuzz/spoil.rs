//! Spoils a good file: bytes anywhere, and, where it is JSON (a line, or the header of a safetensors file), values of
//! it, so that what is beyond the parser is reached too.

use serde_json::Value;

/// How, where and with what; any numbers do.
pub type Step = (u8, u32, u32);

const NUMBERS: [&str; 18] = [
    "0",
    "-0.0",
    "-1",
    "1",
    "2",
    "3",
    "7",
    "0.5",
    "1e308",
    "-1e308",
    "1e-320",
    "255",
    "65536",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "9223372036854775808",
    "18446744073709551616",
];
const PIECES: [&[u8]; 16] = [
    b"\xff",
    b"\x00",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\xef\xbb\xbf",
    b"{",
    b"]",
    b"\"",
    b",",
    b"\n",
    b"{{",
    b"{%",
    b"%}",
    b"NaN",
    "\u{fdd0}".as_bytes(),
    "İß\u{301}".as_bytes(),
];

/// The file after all steps.
pub fn spoiled(good: &[u8], steps: &[Step]) -> Vec<u8> {
    steps.iter().fold(good.to_vec(), |bytes, &step| spoil(bytes, step))
}

/// One step.
pub fn spoil(mut bytes: Vec<u8>, (way, a, b): Step) -> Vec<u8> {
    let length = bytes.len().max(1);
    let at = (a as usize % length).min(bytes.len());
    let to = (at + 1 + b as usize % 64).min(bytes.len());
    match way % 16 {
        0 => bytes.truncate(at),
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (b % 8);
            }
        }
        2 => drop(bytes.splice(at..at, PIECES[b as usize % PIECES.len()].iter().copied())),
        3 => {
            let piece = bytes[at..to].to_vec();
            bytes.splice(at..at, piece);
        }
        4 => drop(bytes.drain(at..to)),
        5 => {
            let nested = [b"[".repeat(300), b"{\"a\":".repeat(300), b"(".repeat(3000)];
            bytes.splice(at..at, nested[b as usize % nested.len()].iter().copied());
        }
        6..=8 => bytes = with_number(&bytes, a, NUMBERS[b as usize % NUMBERS.len()]),
        _ => bytes = with_value(bytes, way, a, b),
    }
    bytes
}

/// Replaces a number of the text.
fn with_number(bytes: &[u8], which: u32, number: &str) -> Vec<u8> {
    let digit = |at: usize| bytes[at].is_ascii_digit();
    let starts: Vec<usize> =
        (0..bytes.len()).filter(|&at| digit(at) && (at == 0 || !digit(at - 1))).collect();
    let Some(&start) = starts.get(which as usize % starts.len().max(1)) else { return bytes.to_vec() };
    let end = (start..bytes.len()).find(|&at| !digit(at)).unwrap_or(bytes.len());
    [&bytes[..start], number.as_bytes(), &bytes[end..]].concat()
}

/// Replaces a value of the JSON, or takes it out, if there is JSON.
fn with_value(bytes: Vec<u8>, way: u8, a: u32, b: u32) -> Vec<u8> {
    // The header of a safetensors file, with its new length before it.
    let size = bytes.first_chunk().map_or(u64::MAX, |size| u64::from_le_bytes(*size));
    if let Some(end) = usize::try_from(size).ok().and_then(|size| size.checked_add(8))
        && let Some(header) = bytes.get(8..end)
        && let Some(header) = json(header, way, a, b)
    {
        return [&(header.len() as u64).to_le_bytes()[..], &header, &bytes[end..]].concat();
    }
    if let Some(whole) = json(&bytes, way, a, b) {
        return whole;
    }
    let mut lines: Vec<Vec<u8>> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let index = b as usize % lines.len();
    if let Some(line) = json(&lines[index], way, a, b >> 8) {
        lines[index] = line;
    }
    lines.join(&b'\n')
}

fn json(text: &[u8], way: u8, a: u32, b: u32) -> Option<Vec<u8>> {
    let mut whole: Value = serde_json::from_slice(text).ok()?;
    let count = count(&whole) as u32;
    let other = nth(&mut whole, &mut (b % count))?.clone();
    let node = nth(&mut whole, &mut (a % count))?;
    match way % 16 {
        9 => *node = other,
        10 => match node {
            Value::Array(items) => drop(items.pop()),
            Value::Object(map) => {
                let key = map.keys().nth(b as usize % map.len().max(1)).cloned();
                key.map(|key| map.remove(&key));
            }
            node => *node = Value::Null,
        },
        11 => match node {
            Value::Array(items) => items.push(other),
            Value::Object(map) => {
                let key = map.keys().nth(b as usize % map.len().max(1)).cloned().unwrap_or_default();
                map.insert(format!("{key}{}", b % 3), other);
            }
            node => *node = Value::Array(vec![node.take()]),
        },
        _ => *node = odd(b, node.take()),
    }
    serde_json::to_vec(&whole).ok()
}

fn odd(which: u32, old: Value) -> Value {
    let text = old.as_str().unwrap_or_default().to_owned();
    match which % 24 {
        0 => Value::Null,
        1 => true.into(),
        2 => false.into(),
        3 => "".into(),
        4 => "x".repeat(20_000).into(),
        5 => "\u{0}".into(),
        6 => "../../etc/hosts".into(),
        7 => "/dev/zero".into(),
        8 => Value::Array(Vec::new()),
        9 => Value::Object(serde_json::Map::new()),
        10 => format!("{text}{text}").into(),
        11 => text.chars().skip(1).collect::<String>().into(),
        12 => text.to_uppercase().into(),
        13 => (0..100).fold(old, |value, _| Value::Array(vec![value])),
        _ => serde_json::from_str(NUMBERS[(which / 24) as usize % NUMBERS.len()]).unwrap_or(Value::Null),
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn count(value: &Value) -> usize {
    1 + children(value).into_iter().map(count).sum::<usize>()
}

/// The value of a number, counted from the outside in.
fn nth<'a>(value: &'a mut Value, number: &mut u32) -> Option<&'a mut Value> {
    if *number == 0 {
        return Some(value);
    }
    *number -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, number)),
        Value::Object(map) => map.values_mut().find_map(|item| nth(item, number)),
        _ => None,
    }
}
