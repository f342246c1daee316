//! One JSON object, read by serde_json without building a tree: strings borrow from the line, and only lists
//! of messages are kept, because nothing else nested means anything in a row.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// A value, as far as a row needs it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    /// Of `messages` and `conversations`: the turns.
    Turns(Vec<Turn<'a>>),
    /// Of `history`: pairs of question and answer.
    Pairs(Vec<(Cow<'a, str>, Cow<'a, str>)>),
    List,
    Object,
}

impl Value<'_> {
    /// With its article, for sentences.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::Turns(_) | Value::Pairs(_) | Value::List => "a list",
            Value::Object => "an object",
        }
    }
}

/// As a cell of a table shows it.
impl fmt::Display for Value<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => Ok(()),
            Value::Bool(value) => value.fmt(formatter),
            Value::Number(number) => number.fmt(formatter),
            Value::Text(text) => text.fmt(formatter),
            Value::Turns(_) | Value::Pairs(_) | Value::List => formatter.write_str("[…]"),
            Value::Object => formatter.write_str("{…}"),
        }
    }
}

pub type Entry<'a> = (Cow<'a, str>, Value<'a>);

/// One message of a conversation, under either of the two customs of naming its keys. Small, because it is moved
/// about: what few messages have is in a box.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Turn<'a> {
    /// `role` or `from`
    pub role: Option<Value<'a>>,
    /// `content` or `value`
    pub content: Option<Value<'a>>,
    pub rare: Option<Box<Rare<'a>>>,
}

/// What few messages have.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rare<'a> {
    pub name: Option<Value<'a>>,
    pub weight: Option<Value<'a>>,
    /// `tool_calls` or `function_call`
    pub calls_tool: bool,
    pub unknown: Option<Cow<'a, str>>,
    /// What it is instead, where it is no object.
    pub instead: Option<&'static str>,
}

impl<'a> Turn<'a> {
    fn instead(kind: &'static str) -> Self {
        let mut turn = Self::default();
        turn.rare().instead = Some(kind);
        turn
    }

    fn rare(&mut self) -> &mut Rare<'a> {
        self.rare.get_or_insert_default()
    }
}

/// Of `tool_calls` and `function_call`: a list of calls, or one call. Many files write an empty list or null.
#[derive(Deserialize)]
#[serde(untagged)]
enum Call {
    List(Vec<IgnoredAny>),
    One(Option<IgnoredAny>),
}

impl Call {
    fn is_one(&self) -> bool {
        match self {
            Call::List(calls) => !calls.is_empty(),
            Call::One(call) => call.is_some(),
        }
    }
}

/// A parsed line: an object's entries, or what it is instead.
#[derive(Debug)]
pub enum Line<'a> {
    Object(Vec<Entry<'a>>),
    Other(&'static str),
}

/// Reads one value; anything after it is an error.
pub fn parse(text: &str) -> Result<Line<'_>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let line = LineSeed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(line)
}

/// Visits the kinds of JSON that a visitor does not care for, so that each is named instead of refused.
macro_rules! scalars {
    ($make:expr) => {
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok($make(Value::Null))
        }
        fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
            Ok($make(Value::Bool(value)))
        }
        fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
            Ok($make(Value::Number(value.into())))
        }
        fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
            Ok($make(Value::Number(value.into())))
        }
        fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
            Ok($make(Number::from_f64(value).map_or(Value::Null, Value::Number)))
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok($make(Value::Text(Cow::Owned(text.to_owned()))))
        }
        fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok($make(Value::Text(Cow::Borrowed(text))))
        }
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("any JSON value")
        }
    };
}

fn skip_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<(), A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<(), A::Error> {
    while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

macro_rules! seed {
    ($name:ty) => {
        impl<'de> DeserializeSeed<'de> for $name {
            type Value = <Self as Visitor<'de>>::Value;
            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                deserializer.deserialize_any(self)
            }
        }
    };
}

struct LineSeed;
seed!(LineSeed);

impl<'de> Visitor<'de> for LineSeed {
    type Value = Line<'de>;
    scalars!(|value: Value<'_>| Line::Other(value.kind()));

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        skip_list(list)?;
        Ok(Line::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::with_capacity(4);
        while let Some(key) = object.next_key_seed(KeySeed)? {
            let value = match key.as_ref() {
                "messages" | "conversations" => object.next_value_seed(TurnsSeed)?,
                "history" => object.next_value_seed(PairsSeed)?,
                _ => object.next_value_seed(ValueSeed)?,
            };
            entries.push((key, value));
        }
        Ok(Line::Object(entries))
    }
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
    type Value = Cow<'de, str>;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
}

struct ValueSeed;
seed!(ValueSeed);

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Value<'de>;
    scalars!(std::convert::identity::<Value<'_>>);

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        skip_list(list)?;
        Ok(Value::List)
    }
    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        skip_object(object)?;
        Ok(Value::Object)
    }
}

struct TurnsSeed;
seed!(TurnsSeed);

impl<'de> Visitor<'de> for TurnsSeed {
    type Value = Value<'de>;
    scalars!(std::convert::identity::<Value<'_>>);

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut turns = Vec::with_capacity(4);
        while let Some(turn) = list.next_element_seed(TurnSeed)? {
            turns.push(turn);
        }
        Ok(Value::Turns(turns))
    }
    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        skip_object(object)?;
        Ok(Value::Object)
    }
}

struct TurnSeed;
seed!(TurnSeed);

impl<'de> Visitor<'de> for TurnSeed {
    type Value = Turn<'de>;
    scalars!(|value: Value<'_>| Turn::instead(value.kind()));

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        skip_list(list)?;
        Ok(Turn::instead("a list"))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut turn = Turn::default();
        while let Some(key) = object.next_key_seed(KeySeed)? {
            match key.as_ref() {
                "role" | "from" => turn.role = Some(object.next_value_seed(ValueSeed)?),
                "content" | "value" => turn.content = Some(object.next_value_seed(ContentSeed)?),
                "name" => turn.rare().name = Some(object.next_value_seed(ValueSeed)?),
                "weight" => turn.rare().weight = Some(object.next_value_seed(ValueSeed)?),
                "tool_calls" | "function_call" => {
                    turn.rare().calls_tool |= object.next_value::<Call>()?.is_one();
                }
                // Of no use to the text itself, and nobody's mistake.
                "tool_call_id" | "refusal" | "audio" | "annotations" | "id" | "timestamp" => {
                    object.next_value::<IgnoredAny>()?;
                }
                _ => {
                    object.next_value::<IgnoredAny>()?;
                    turn.rare().unknown.get_or_insert(key);
                }
            }
        }
        Ok(turn)
    }
}

/// The content of a message: text, or a list of parts `{"type": "text", "text": …}`, which are joined.
struct ContentSeed;
seed!(ContentSeed);

impl<'de> Visitor<'de> for ContentSeed {
    type Value = Value<'de>;
    scalars!(std::convert::identity::<Value<'_>>);

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut text, mut all_text) = (String::new(), true);
        while let Some(part) = list.next_element_seed(PartSeed)? {
            match part {
                Some(part) => text.push_str(&part),
                None => all_text = false,
            }
        }
        Ok(if all_text { Value::Text(Cow::Owned(text)) } else { Value::List })
    }
    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        skip_object(object)?;
        Ok(Value::Object)
    }
}

/// The text of a part of a content; `None` for an image and everything else.
struct PartSeed;
seed!(PartSeed);

impl<'de> Visitor<'de> for PartSeed {
    type Value = Option<Cow<'de, str>>;
    scalars!(|value| if let Value::Text(text) = value { Some(text) } else { None });

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        skip_list(list)?;
        Ok(None)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = object.next_key_seed(KeySeed)? {
            if key == "text" {
                found = Some(object.next_value_seed(ValueSeed)?);
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(if let Some(Value::Text(text)) = found { Some(text) } else { None })
    }
}

struct PairsSeed;
seed!(PairsSeed);

impl<'de> Visitor<'de> for PairsSeed {
    type Value = Value<'de>;
    scalars!(std::convert::identity::<Value<'_>>);

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut pairs, mut all_pairs) = (Vec::new(), true);
        while let Some(pair) = list.next_element_seed(PairSeed)? {
            match pair {
                Some(pair) => pairs.push(pair),
                None => all_pairs = false,
            }
        }
        Ok(if all_pairs { Value::Pairs(pairs) } else { Value::List })
    }
    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        skip_object(object)?;
        Ok(Value::Object)
    }
}

struct PairSeed;
seed!(PairSeed);

impl<'de> Visitor<'de> for PairSeed {
    type Value = Option<(Cow<'de, str>, Cow<'de, str>)>;
    scalars!(|_| None);

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let first = list.next_element_seed(ValueSeed)?;
        let second = list.next_element_seed(ValueSeed)?;
        let more = list.next_element::<IgnoredAny>()?.is_some();
        if more {
            skip_list(list)?;
        }
        Ok(match (first, second, more) {
            (Some(Value::Text(question)), Some(Value::Text(answer)), false) => Some((question, answer)),
            _ => None,
        })
    }
    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        skip_object(object)?;
        Ok(None)
    }
}
