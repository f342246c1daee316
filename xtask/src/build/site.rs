//! Puts the site together: names that carry a hash of the content, so that a browser may keep
//! them for ever, and a compressed copy beside each file, so that the server never compresses one.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::{Context as _, Result, bail};

use super::wasm::{MODULE_NAME, Wasm};
use crate::workspace::{Workspace, digest, files_below};

/// Where the hashed files lie in the site.
const PKG: &str = "pkg";
/// Compressed formats that only compression can make smaller; all others are left alone.
const COMPRESSIBLE: [&str; 10] =
    ["css", "csv", "html", "js", "json", "jsonl", "svg", "txt", "wasm", "webmanifest"];
/// A smaller file fits into one network packet anyway.
const WORTH_COMPRESSING: usize = 1024;

/// Every file of the site by its path, and the manifest.
#[derive(Default)]
pub struct Site {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// What a file is for → its name in `pkg/`.
    manifest: BTreeMap<String, String>,
}

/// Gives the pieces their names.
pub fn assemble(workspace: &Workspace, css: String, islands: Vec<Wasm>) -> Result<Site> {
    let mut site = Site::default();
    site.add_hashed("css", "app", "css", css.into_bytes());
    for island in islands {
        site.add_wasm(island);
    }
    let htmx = workspace.root.join("node_modules/htmx.org/dist");
    site.add_hashed("htmx", "htmx", "js", fs::read(htmx.join("htmx.min.js"))?);
    site.add_hashed("hx-sse", "hx-sse", "js", fs::read(htmx.join("ext/hx-sse.min.js"))?);
    let public = workspace.root.join("public");
    for path in files_below(&public)? {
        let name = path.strip_prefix(&public)?.to_path_buf();
        let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if let (Some("js"), Some(stem)) = (path.extension().and_then(|e| e.to_str()), stem) {
            let key = name.with_extension("");
            let key = key.to_str().context("a script in public/ needs a name in UTF-8")?;
            if site.manifest.contains_key(key) {
                bail!("public/{key}.js has the name of something else in the site's manifest: rename it");
            }
            site.add_hashed(key, stem, "js", content);
        } else {
            site.files.insert(name, content);
        }
    }
    Ok(site)
}

impl Site {
    fn add_hashed(&mut self, key: &str, stem: &str, extension: &str, content: Vec<u8>) -> String {
        let name = format!("{stem}.{}.{extension}", digest(&[&content]));
        self.files.insert(Path::new(PKG).join(&name), content);
        self.manifest.insert(key.to_owned(), name.clone());
        name
    }

    /// The glue names the module and the snippets, so their hashed names go into it before it gets
    /// its own.
    fn add_wasm(&mut self, wasm: Wasm) {
        let island = wasm.island;
        let module = self.add_hashed(&format!("{island}-wasm"), island, "wasm", wasm.module);
        let contents: Vec<&[u8]> = wasm.snippets.iter().map(|(_, content)| content.as_slice()).collect();
        let snippets_dir = format!("snippets.{}", digest(&contents));
        let glue =
            wasm.glue.replace(MODULE_NAME, &module).replace("./snippets/", &format!("./{snippets_dir}/"));
        for (path, content) in wasm.snippets {
            self.files.insert(Path::new(PKG).join(&snippets_dir).join(path), content);
        }
        self.add_hashed(&format!("{island}-js"), island, "js", glue.into_bytes());
    }

    /// Makes `dir` hold exactly this site; the manifest is written last, so that a server that
    /// starts meanwhile never reads names of files that are not there yet.
    pub fn write(&self, dir: &Path, compress: bool) -> Result<()> {
        let pending = Mutex::new(Vec::new());
        for (name, content) in &self.files {
            let path = dir.join(name);
            if fs::read(&path).ok().as_ref() != Some(content) {
                fs::create_dir_all(path.parent().context("a file of the site has no directory")?)?;
                fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
                remove_copies(&path)?;
            }
            if compress && is_compressible(name, content) && !copy_of(&path, "br").exists() {
                lock(&pending).push((path, content));
            }
        }
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..std::thread::available_parallelism().map_or(1, |n| n.get()))
                .map(|_| {
                    scope.spawn(|| {
                        while let Some((path, content)) = { lock(&pending).pop() } {
                            compress_file(&path, content)?;
                        }
                        anyhow::Ok(())
                    })
                })
                .collect();
            workers.into_iter().try_for_each(|w| w.join().unwrap_or_else(|_| bail!("compression panicked")))
        })?;
        self.remove_strangers(dir)?;
        let manifest = dir.join(PKG).join("manifest.json");
        fs::create_dir_all(dir.join(PKG))?;
        let fresh = manifest.with_extension("json.new");
        fs::write(&fresh, serde_json::to_vec_pretty(&self.manifest)?)?;
        fs::rename(&fresh, &manifest)?;
        Ok(())
    }

    /// Removes files of earlier builds.
    fn remove_strangers(&self, dir: &Path) -> Result<()> {
        let manifest = Path::new(PKG).join("manifest.json");
        for path in files_below(dir)? {
            let name = path.strip_prefix(dir)?;
            let original = match name.extension().and_then(|extension| extension.to_str()) {
                Some("br" | "gz") => name.with_extension(""),
                _ => name.to_path_buf(),
            };
            if name != manifest && !self.files.contains_key(name) && !self.files.contains_key(&original) {
                fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// `css 12.3 kB (3.1 kB br), …` of the parts that a page may load.
    pub fn sizes(&self, dir: &Path) -> String {
        let kilobytes = |bytes: u64| bytes as f64 / 1000.0;
        let part = |(key, name): (&String, &String)| {
            let path = dir.join(PKG).join(name);
            let plain = fs::metadata(&path).map_or(0, |meta| meta.len());
            match fs::metadata(copy_of(&path, "br")) {
                Ok(br) => format!("{key} {:.1} kB ({:.1} kB br)", kilobytes(plain), kilobytes(br.len())),
                Err(_) => format!("{key} {:.1} kB", kilobytes(plain)),
            }
        };
        self.manifest.iter().map(part).collect::<Vec<_>>().join(", ")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn is_compressible(name: &Path, content: &[u8]) -> bool {
    let extension = name.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    content.len() >= WORTH_COMPRESSING && COMPRESSIBLE.contains(&extension)
}

/// `app.js` → `app.js.br`
fn copy_of(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

fn remove_copies(path: &Path) -> Result<()> {
    for extension in ["br", "gz"] {
        let copy = copy_of(path, extension);
        if copy.exists() {
            fs::remove_file(copy)?;
        }
    }
    Ok(())
}

/// The `.br` copy is written last: where it exists, both do.
fn compress_file(path: &Path, content: &[u8]) -> Result<()> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(content)?;
    fs::write(copy_of(path, "gz"), gzip.finish()?)?;
    let parameters =
        brotli::enc::BrotliEncoderParams { quality: 11, size_hint: content.len(), ..Default::default() };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &content[..], &mut compressed, &parameters)?;
    fs::write(copy_of(path, "br"), compressed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wasm(module: &[u8]) -> Wasm {
        Wasm {
            island: "chat",
            module: module.to_vec(),
            glue: "import './snippets/a/inline0.js'; new URL('app_bg.wasm', import.meta.url)".into(),
            snippets: vec![("a/inline0.js".into(), b"export {}".to_vec())],
        }
    }

    /// A directory of its own for each test, removed at its end.
    struct Dir(PathBuf);
    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("xtask-site-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }
    }
    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_glue_gets_a_new_name_when_only_the_module_changed() {
        let (mut one, mut two) = (Site::default(), Site::default());
        one.add_wasm(wasm(b"1"));
        two.add_wasm(wasm(b"2"));
        assert_ne!(one.manifest["chat-js"], two.manifest["chat-js"]);
        let glue = &one.files[&Path::new(PKG).join(&one.manifest["chat-js"])];
        let glue = String::from_utf8(glue.clone()).unwrap();
        assert!(glue.contains(&one.manifest["chat-wasm"]), "{glue}");
        let snippets = glue.split('\'').nth(1).unwrap().trim_start_matches("./");
        assert!(one.files.contains_key(&Path::new(PKG).join(snippets)), "{snippets}");
    }

    #[test]
    fn writing_leaves_exactly_this_site_with_copies_that_match() {
        let dir = Dir::new("write");
        let mut site = Site::default();
        site.add_hashed("css", "app", "css", b".a { color: red }\n".repeat(100));
        site.files.insert("robots.txt".into(), b"old".to_vec());
        site.write(&dir.0, true).unwrap();
        let old = dir.0.join(PKG).join(&site.manifest["css"]);
        assert!(copy_of(&old, "br").exists() && copy_of(&old, "gz").exists());

        let mut site = Site::default();
        let new = b".b { color: blue }\n".repeat(100);
        site.add_hashed("css", "app", "css", new.clone());
        site.write(&dir.0, true).unwrap();
        assert!(!old.exists() && !copy_of(&old, "br").exists() && !dir.0.join("robots.txt").exists());
        let css = dir.0.join(PKG).join(&site.manifest["css"]);
        let mut unpacked = Vec::new();
        let packed = fs::read(copy_of(&css, "br")).unwrap();
        brotli::BrotliDecompress(&mut packed.as_slice(), &mut unpacked).unwrap();
        assert_eq!(unpacked, new);
        let manifest = fs::read_to_string(dir.0.join(PKG).join("manifest.json")).unwrap();
        assert!(manifest.contains(&site.manifest["css"]), "{manifest}");
    }

    #[test]
    fn a_file_that_changed_under_its_name_loses_its_old_copies() {
        let dir = Dir::new("changed");
        let mut site = Site::default();
        site.files.insert("sample.csv".into(), b"a,b\n".repeat(1000));
        site.write(&dir.0, true).unwrap();
        site.files.insert("sample.csv".into(), b"c,d\n".repeat(1000));
        site.write(&dir.0, false).unwrap();
        assert!(!dir.0.join("sample.csv.br").exists(), "the copy holds the old content");
    }
}
