//! How figures read: grouped digits, bytes, durations, ages. Pure functions without I/O or locale,
//! so that the server's pages and the browser's islands write the same figure the same way.

use std::time::Duration;

/// `1234567` → `1,234,567`.
pub fn integer(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Short form for tight places: `950`, `12.3 k`, `4.2 M`, `1.1 B`.
pub fn compact(value: u64) -> String {
    scaled(value as f64, &["", " k", " M", " B", " T"])
}

/// Decimal units, three significant digits: `812 B`, `12.3 MB`, `1.05 GB`.
pub fn bytes(value: u64) -> String {
    scaled(value as f64, &[" B", " kB", " MB", " GB", " TB", " PB"])
}

fn scaled(mut value: f64, units: &[&str]) -> String {
    let mut unit = 0;
    // 999.5 would print as "1000" of this unit, so it belongs to the next one.
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 99.95 { 0 } else { 1 };
    let figure = format!("{value:.digits$}");
    format!("{}{}", figure.strip_suffix(".0").unwrap_or(&figure), units[unit])
}

/// `0.5` → `50 %`; under 10 % with one decimal.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value.abs() >= 10.0 || value.fract().abs() < 0.05 {
        format!("{value:.0} %")
    } else {
        format!("{value:.1} %")
    }
}

/// A loss or similar small figure: four significant digits, `–` where it is not a number.
pub fn loss(value: f64) -> String {
    match value {
        v if !v.is_finite() => "–".to_owned(),
        v if v.abs() >= 100.0 => format!("{v:.1}"),
        v if v.abs() >= 10.0 => format!("{v:.2}"),
        v if v.abs() >= 0.001 || v == 0.0 => format!("{v:.3}"),
        v => format!("{v:.1e}"),
    }
}

/// `0.0003` → `3e-4`; larger figures stay decimal. For learning rates.
pub fn rate(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.01 { format!("{value:e}") } else { format!("{value}") }
}

/// The two largest units: `0.8 s`, `45 s`, `1 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub fn duration(value: Duration) -> String {
    let seconds = value.as_secs();
    match seconds {
        0 if value.is_zero() => "0 s".to_owned(),
        0 => format!("{:.1} s", value.as_secs_f64().max(0.1)),
        1..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

/// Age in one unit, as tables and headers show it: `just now`, `3 min ago`, `2 days ago`.
/// `public/app.js` keeps it fresh by the same rules.
pub fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..45 => "just now".to_owned(),
        45..3600 => format!("{} min ago", (seconds / 60).max(1)),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        86_400..172_800 => "yesterday".to_owned(),
        172_800..2_592_000 => format!("{} days ago", seconds / 86_400),
        2_592_000..5_184_000 => "a month ago".to_owned(),
        5_184_000..31_536_000 => format!("{} months ago", seconds / 2_592_000),
        31_536_000..63_072_000 => "a year ago".to_owned(),
        _ => format!("{} years ago", seconds / 31_536_000),
    }
}

/// `plural(1, "row", "rows")` → `1 row`; `2,000 rows`.
pub fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", integer(count), if count == 1 { one } else { many })
}

/// What stands below an answer of a model: how long it was, how fast it came, and why it ended. `tokens` is 0 where an
/// endpoint's container does not count them; `finish_reason` is the API's.
pub fn answered(text: &str, tokens: u64, tokens_per_second: f64, finish_reason: &str) -> String {
    let why = match finish_reason {
        "length" => ", ended at the limit of new tokens",
        "context" => ", ended where the model's context is full",
        _ => "",
    };
    if text.is_empty() && finish_reason == "stop" {
        return "No words: the model ended its answer at once".to_owned();
    }
    if tokens == 0 {
        return format!("Done{why}");
    }
    format!("{}, {tokens_per_second:.0} tokens/s{why}", plural(tokens, "token", "tokens"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_its_length_and_its_end() {
        assert_eq!(answered("one", 1, 9.6, "stop"), "1 token, 10 tokens/s");
        assert_eq!(
            answered("on and on", 64, 100.0, "length"),
            "64 tokens, 100 tokens/s, ended at the limit of new tokens"
        );
        assert_eq!(answered("uncounted", 0, 0.0, "stop"), "Done");
        assert_eq!(answered("", 0, 0.0, "stop"), "No words: the model ended its answer at once");
        assert_eq!(answered("", 0, 0.0, "cancelled"), "Done");
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(integer), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn bytes_roll_over_to_the_next_unit() {
        assert_eq!(
            [0, 812, 999, 1000, 12_345_678, 999_950, 1_050_000_000].map(bytes),
            ["0 B", "812 B", "999 B", "1 kB", "12.3 MB", "1 MB", "1.1 GB"]
        );
    }

    #[test]
    fn durations_show_two_units() {
        assert_eq!(
            [0, 59, 60, 80, 3600, 7500, 90_000].map(|s| duration(Duration::from_secs(s))),
            ["0 s", "59 s", "1 min", "1 min 20 s", "1 h", "2 h 5 min", "1 d 1 h"]
        );
        assert_eq!(duration(Duration::from_millis(820)), "0.8 s");
    }

    #[test]
    fn ages_show_one_unit() {
        assert_eq!(
            [10, 50, 180, 7200, 100_000, 400_000, 3_000_000, 70_000_000].map(|s| ago(Duration::from_secs(s))),
            [
                "just now",
                "1 min ago",
                "3 min ago",
                "2 h ago",
                "yesterday",
                "4 days ago",
                "a month ago",
                "2 years ago"
            ]
        );
    }

    #[test]
    fn small_figures_stay_readable() {
        assert_eq!([2.3456, 0.0001, 123.45, f64::NAN].map(loss), ["2.346", "1.0e-4", "123.5", "–"]);
        assert_eq!([0.0003, 0.05, 0.0].map(rate), ["3e-4", "0.05", "0"]);
        assert_eq!([0.5, 0.123, 0.015, 1.0].map(percent), ["50 %", "12 %", "1.5 %", "100 %"]);
    }
}
