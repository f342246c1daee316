//! Jinja as `transformers` sets it up for chat templates, within limits: a template comes with a base model from
//! elsewhere, and must neither run for ever nor write without end.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::civil::Date;
use minijinja::value::{Kwargs, Serde, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, escape_formatter};
use serde::Serialize;

/// Instructions that one rendering may take, about a tenth of a second; a conversation of a thousand turns takes some
/// 50,000.
const FUEL: u64 = 1_000_000;
/// And so few that what they put within each other is gone through on any stack: forty turns.
const LITTLE_FUEL: u64 = 2_000;
/// Bytes of a template; published ones have up to 20,000.
const LONGEST_SOURCE: usize = 64 << 10;
/// Memory is taken only for what is used of it. Enough for a template of one operator after another, and for a list in
/// a list for each few instructions.
const STACK: usize = 512 << 20;
/// Bytes that one rendering may write.
const LONGEST: usize = 64 << 20;
const NAME: &str = "chat_template";

/// A template, ready to be rendered.
pub struct Jinja {
    whole: Environment<'static>,
    /// The same with [`LITTLE_FUEL`].
    quick: Environment<'static>,
}

impl Jinja {
    /// `date` is what `strftime_now` formats, at midnight; without one there is no such function.
    pub fn new(source: &str, date: Option<Date>) -> Result<Self, Error> {
        if source.len() > LONGEST_SOURCE {
            let why = format!("it is {} bytes long, and at most {LONGEST_SOURCE} are read", source.len());
            return Err(Error::new(ErrorKind::SyntaxError, why));
        }
        let mut environment = Environment::new();
        environment.set_syntax(
            minijinja::syntax::SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?,
        );
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_formatter(as_python);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_fuel(Some(FUEL));
        // An error would take the template's values along, out of the thread with the large stack.
        environment.set_debug(false);
        environment.add_filter("tojson", to_json);
        environment.add_function("raise_exception", raise_exception);
        if let Some(date) = date {
            let now = move |format: &str| {
                jiff::fmt::strtime::format(format, date.at(0, 0, 0, 0)).map_err(|error| {
                    Error::new(ErrorKind::InvalidOperation, format!("strftime_now(\"{format}\"): {error}"))
                })
            };
            environment.add_function("strftime_now", now);
        }
        apart(|| environment.add_template_owned(NAME, without_generation(source)))?;
        let mut quick = environment.clone();
        quick.set_fuel(Some(LITTLE_FUEL));
        Ok(Self { whole: environment, quick })
    }

    pub fn render(&self, context: impl Serialize) -> Result<String, Error> {
        let context = Value::from(Serde(context));
        // Most conversations are short, and a thread takes as long as rendering one.
        let text = match caught(|| write(&self.quick, context.clone())) {
            Err(error) if error.kind() == ErrorKind::OutOfFuel => apart(|| write(&self.whole, context)),
            text => text,
        };
        String::from_utf8(text?).map_err(|_| Error::new(ErrorKind::BadEscape, "it wrote broken UTF-8"))
    }
}

fn write(environment: &Environment<'static>, context: Value) -> Result<Vec<u8>, Error> {
    let mut text = Bounded(Vec::new());
    environment.get_template(NAME)?.render_captured_to(context, &mut text)?;
    Ok(text.0)
}

/// Does the work. Where minijinja panics, which it does on some numbers (`x[::-9223372036854775808]`), that is an error.
fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // What a panic may leave half done is dropped with it.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(failed("the template library gave up on it".into())))
}

fn failed(why: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

/// Does the work on a thread with a stack that it cannot use up: minijinja goes through what stands or lies within
/// something else by recursion, and a stack that is full ends the process.
fn apart<T: Send>(work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || caught(work));
        let thread = thread.map_err(|error| failed(format!("no thread for it: {error}")))?;
        thread.join().unwrap_or_else(|_| Err(failed("its thread was lost".into())))
    })
}

/// Takes in no more than [`LONGEST`].
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

fn as_python(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let word = match value.kind() {
        ValueKind::None => "None",
        ValueKind::Bool if value.is_true() => "True",
        ValueKind::Bool => "False",
        _ => return escape_formatter(out, state, value),
    };
    out.write_str(word).map_err(Error::from)
}

/// As Python's `json.dumps` with `ensure_ascii=False`, which puts spaces after commas and colons.
fn to_json(value: Value, options: Kwargs) -> Result<String, Error> {
    let layout = Layout {
        indent: options.get("indent")?,
        ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        separators: options.get::<Option<Vec<String>>>("separators")?,
    };
    options.assert_all_used()?;
    let mut text = String::new();
    layout.write(&value, 0, &mut text)?;
    Ok(text)
}

struct Layout {
    indent: Option<usize>,
    ascii: bool,
    sorted: bool,
    separators: Option<Vec<String>>,
}

impl Layout {
    fn write(&self, value: &Value, depth: usize, text: &mut String) -> Result<(), Error> {
        let not_json = |why: String| Error::new(ErrorKind::BadSerialization, why);
        if text.len() > LONGEST {
            return Err(ErrorKind::WriteFailure.into());
        }
        let mut comma = match &self.separators {
            Some(separators) => separators.first().cloned().unwrap_or_default(),
            None if self.indent.is_some() => ",".to_owned(),
            None => ", ".to_owned(),
        };
        let colon = self.separators.as_ref().map_or(Some(": "), |all| all.get(1).map(String::as_str));
        let line = |depth: usize| {
            self.indent.map(|width| format!("\n{}", " ".repeat(width.min(16) * depth))).unwrap_or_default()
        };
        comma += &line(depth + 1);
        match value.kind() {
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if keys.is_empty() {
                    text.push_str("{}");
                    return Ok(());
                }
                if self.sorted {
                    keys.sort();
                }
                text.push('{');
                for (at, key) in keys.iter().enumerate() {
                    text.push_str(if at == 0 {
                        &comma[comma.len() - line(depth + 1).len()..]
                    } else {
                        &comma
                    });
                    self.scalar(&Value::from(key.to_string()), text)?;
                    text.push_str(colon.unwrap_or_default());
                    self.write(&value.get_item(key)?, depth + 1, text)?;
                }
                text.push_str(&line(depth));
                text.push('}');
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let mut empty = true;
                text.push('[');
                for item in value.try_iter()? {
                    text.push_str(if empty { &comma[comma.len() - line(depth + 1).len()..] } else { &comma });
                    empty = false;
                    self.write(&item, depth + 1, text)?;
                }
                if !empty {
                    text.push_str(&line(depth));
                }
                text.push(']');
            }
            ValueKind::Undefined => return Err(not_json("tojson of what is not defined".into())),
            _ => self.scalar(value, text)?,
        }
        Ok(())
    }

    fn scalar(&self, value: &Value, text: &mut String) -> Result<(), Error> {
        let written = serde_json::to_string(value)
            .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
        if !self.ascii {
            text.push_str(&written);
            return Ok(());
        }
        for character in written.chars() {
            if character.is_ascii() {
                text.push(character);
            } else {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    *text += &format!("\\u{unit:04x}");
                }
            }
        }
        Ok(())
    }
}

/// `{% generation %}` marks answers for `transformers`; it writes nothing, and minijinja does not know it.
fn without_generation(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        text.push_str(before);
        let Some(end) = tag[2..].find("%}").map(|end| end + 2) else {
            rest = tag;
            break;
        };
        let (inside, after) = (&tag[2..end], &tag[end + 2..]);
        let word = inside.trim_matches(['-', '+']).trim();
        let instead = match word {
            "generation" => Some("if true"),
            "endgeneration" => Some("endif"),
            _ => None,
        };
        match instead {
            Some(instead) => {
                text.push_str(&format!("{{%{}%}}", inside.replacen(word, &format!(" {instead} "), 1)))
            }
            None => text.push_str(&tag[..end + 2]),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(source: &str) -> Result<String, Error> {
        Jinja::new(source, Some(jiff::civil::date(2026, 3, 9)))?
            .render(json!({ "map": { "b": [1, 2.5, null], "a": "é\n\"<" }, "text": " x " }))
    }

    #[test]
    fn json_is_pythons() {
        let map = "{{ {'b': [1, 2.5, none], 'a': 'é\\n\"<'} | tojson }}";
        assert_eq!(render(map).unwrap(), r#"{"b": [1, 2.5, null], "a": "é\n\"<"}"#);
        assert_eq!(
            render("{{ map | tojson(indent=2, sort_keys=true, ensure_ascii=true) }}").unwrap(),
            "{\n  \"a\": \"\\u00e9\\n\\\"<\",\n  \"b\": [\n    1,\n    2.5,\n    null\n  ]\n}"
        );
        assert_eq!(render("{{ [] | tojson }}{{ {} | tojson(indent=1) }}").unwrap(), "[]{}");
        assert_eq!(render("{{ [1, {'a': 2}] | tojson(separators=(',', ':')) }}").unwrap(), r#"[1,{"a":2}]"#);
    }

    #[test]
    fn blocks_are_trimmed_values_are_pythons_and_the_date_is_given() {
        assert_eq!(render("  {% if true %}\na\n  {% endif %}\nb\n").unwrap(), "a\nb");
        assert_eq!(render("{{ true }} {{ none }} {{ text.strip() }}").unwrap(), "True None x");
        assert_eq!(render("{{ strftime_now('%d %b %Y') }}").unwrap(), "09 Mar 2026");
        assert!(Jinja::new("{{ strftime_now('%d') }}", None).unwrap().render(()).is_err());
        assert_eq!(render("a {%- generation -%} b {% endgeneration %}c").unwrap(), "ab c");
    }

    #[test]
    fn nothing_goes_on_for_ever() {
        let endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
        assert_eq!(render(endless).unwrap_err().kind(), ErrorKind::OutOfFuel);
        for odd in ["{%}", "{%", "{% %}%}", "{%-%}{% generation"] {
            let _ = render(odd);
        }
        assert!(render("{{ [1, 2][::-9223372036854775808] }}").is_err() || !cfg!(debug_assertions));
        assert!(render(&" ".repeat(LONGEST_SOURCE + 1)).is_err());
        let doubled = "{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}";
        assert!(render(&format!("{{% set ns = namespace(x=1) %}}{doubled}")).is_err());
        let recursive = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
        assert!(render(recursive).is_err());
        let long = "{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}";
        assert!(render(long).is_err());
    }
    #[test]
    fn no_stack_is_used_up() {
        for part in ["-", "not ", "~1", "[0]", "|string", "(", "{% elif a %}", "{% if a %}"] {
            let times = LONGEST_SOURCE / part.len() - 10;
            let _ = render(&format!("{{% if a %}}{}{{% endif %}}", part.repeat(times)));
            let _ = render(&format!("{{{{ {}1 }}}}", part.repeat(times)));
            let _ = render(&format!("{{{{ 1{} }}}}", part.repeat(times)));
        }
        let nested =
            "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}";
        assert_eq!(render(nested).unwrap(), "");
        for used in [
            "ns.x",
            "ns.x | tojson",
            "ns.x == [[ns.x]]",
            "ns.x | string | length",
            "{'a': 1}[ns.x]",
            "ns.x < [ns.x]",
        ] {
            // Within the few steps of the first attempt, just beyond them, and far beyond.
            for times in [200, 290, 320, 390, 4_000] {
                let build =
                    format!("{{% for i in range({times}) %}}{{% set ns.x = [[[[ns.x]]]] %}}{{% endfor %}}");
                let _ = render(&format!("{{% set ns = namespace(x=[]) %}}{build}{{{{ {used} }}}}"));
            }
        }
        let nested = "{% for j in range(99) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}{% endfor %}";
        let nested = format!("{{% set ns = namespace(x=[]) %}}{nested}");
        assert_eq!(render(&nested).unwrap_err().kind(), ErrorKind::OutOfFuel);
    }
}
