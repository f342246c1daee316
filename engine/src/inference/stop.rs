//! Stop strings in streamed text: what may be the beginning of one is held back until it is certain.

/// Passes text on up to the first stop string.
pub struct StopFilter {
    stop: Vec<String>,
    held: String,
    stopped: bool,
}

impl StopFilter {
    pub fn new(stop: Vec<String>) -> Self {
        Self { stop, held: String::new(), stopped: false }
    }

    /// Takes in text; gives what is certain, and whether a stop string came.
    pub fn push(&mut self, piece: &str) -> (String, bool) {
        if self.stopped {
            return (String::new(), true);
        }
        self.held.push_str(piece);
        if let Some(at) = self.stop.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.stopped = true;
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let uncertain = self.held.char_indices().map(|(at, _)| at).find(|&at| {
            let tail = &self.held[at..];
            self.stop.iter().any(|stop| stop.starts_with(tail))
        });
        let rest = uncertain.map(|at| self.held.split_off(at)).unwrap_or_default();
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What was held back and turned out to be no stop string.
    pub fn finish(self) -> String {
        if self.stopped { String::new() } else { self.held }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stop: &[&str], pieces: &[&str]) -> (Vec<String>, bool, String) {
        let mut filter = StopFilter::new(stop.iter().map(|text| (*text).to_owned()).collect());
        let mut stopped = false;
        let given = pieces
            .iter()
            .map(|piece| {
                let (certain, stop) = filter.push(piece);
                stopped |= stop;
                certain
            })
            .collect();
        (given, stopped, filter.finish())
    }

    #[test]
    fn a_stop_string_over_several_pieces_never_shows() {
        let (given, stopped, rest) = run(&["\n###\n"], &["yes\n", "##", "#\nUser"]);
        assert_eq!(given, ["yes", "", ""]);
        assert!(stopped);
        assert_eq!(rest, "");
    }

    #[test]
    fn what_only_looks_like_one_is_given_out_later() {
        let (given, stopped, rest) = run(&["\n###\n"], &["a\n##", " b", "\n"]);
        assert_eq!(given, ["a", "\n## b", ""]);
        assert!(!stopped);
        assert_eq!(rest, "\n");
    }

    #[test]
    fn the_first_of_several_counts() {
        let (given, stopped, _) = run(&["END", "stop"], &["é stop END"]);
        assert_eq!(given, ["é "]);
        assert!(stopped);
    }
}
