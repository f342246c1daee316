//! Text against its surface, in both themes, from the tokens themselves: WCAG asks for 4.5:1 for text
//! and 3:1 for the edges of fields.

use std::collections::HashMap;

type Themes = [[f64; 3]; 2];

/// `--name: light-dark(oklch(L C H), oklch(L C H));` → name → light and dark.
fn tokens() -> HashMap<String, Themes> {
    include_str!("../../style/tokens.css")
        .lines()
        .filter_map(|line| {
            let (name, value) = line.trim().strip_prefix("--")?.split_once(": light-dark(")?;
            let colours: Vec<[f64; 3]> = value
                .split("oklch(")
                .skip(1)
                .filter_map(|part| {
                    let part = part.split(')').next()?;
                    let figures: Vec<f64> = part.split_whitespace().filter_map(|f| f.parse().ok()).collect();
                    figures.try_into().ok()
                })
                .collect();
            Some((name.to_owned(), colours.try_into().ok()?))
        })
        .collect()
}

/// Relative luminance (WCAG 2.2) of an OKLCH colour, clipped to sRGB. Matrices: Björn Ottosson, "A
/// perceptual color space for image processing", 2020.
fn luminance([l, c, h]: [f64; 3]) -> f64 {
    let (a, b) = (c * h.to_radians().cos(), c * h.to_radians().sin());
    let long = (l + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let medium = (l - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let short = (l - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    let red = 4.076_741_662_1 * long - 3.307_711_591_3 * medium + 0.230_969_929_2 * short;
    let green = -1.268_438_004_6 * long + 2.609_757_401_1 * medium - 0.341_319_396_5 * short;
    let blue = -0.004_196_086_3 * long - 0.703_418_614_7 * medium + 1.707_614_701_0 * short;
    0.2126 * red.clamp(0.0, 1.0) + 0.7152 * green.clamp(0.0, 1.0) + 0.0722 * blue.clamp(0.0, 1.0)
}

fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn black_on_white_is_21_to_1() {
    assert!((contrast([0.0, 0.0, 0.0], [1.0, 0.0, 0.0]) - 21.0).abs() < 0.01);
}

#[test]
fn every_text_is_readable_on_its_surface_in_both_themes() {
    const SURFACES: [&str; 6] = ["page", "card", "raised", "sunken", "hover", "accent-soft"];
    let tokens = tokens();
    let mut pairs: Vec<(&str, &str, f64)> = vec![
        ("on-accent", "accent-solid", 4.5),
        ("on-accent", "accent-solid-hover", 4.5),
        ("on-accent", "bad-solid", 4.5),
        ("accent-solid", "page", 3.0),
        ("accent", "good-soft", 4.5),
        ("good", "good-soft", 4.5),
        ("warn", "warn-soft", 4.5),
        ("bad", "bad-soft", 4.5),
        ("ink", "good-soft", 4.5),
        ("ink", "warn-soft", 4.5),
        ("ink", "bad-soft", 4.5),
        ("ink", "line", 4.5),
        ("line-strong", "card", 3.0),
        ("line-strong", "page", 3.0),
        ("series-b", "card", 3.0),
        ("series-c", "card", 3.0),
    ];
    for surface in SURFACES {
        for text in ["ink", "muted", "accent"] {
            pairs.push((text, surface, 4.5));
        }
    }
    for text in ["good", "warn", "bad"] {
        for surface in ["page", "card", "sunken", "hover"] {
            pairs.push((text, surface, 4.5));
        }
    }
    let mut bad = Vec::new();
    for (text, surface, least) in pairs {
        for (theme, name) in ["light", "dark"].into_iter().enumerate() {
            let ratio = contrast(tokens[text][theme], tokens[surface][theme]);
            if ratio < least {
                bad.push(format!("{text} on {surface}, {name}: {ratio:.2} < {least}"));
            }
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}
