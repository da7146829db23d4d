//! The sources keep to the layers that docs/architecture.md describes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    slice,
};

use syn::{
    Attribute, ExprUnsafe, ForeignItemFn, Item, ItemFn, ItemImpl, ItemMod, ItemUse, UseTree,
    Visibility,
    visit::{self, Visit},
};

/// A module as the segments of its path below the crate.
type Module = Vec<String>;

/// The files of the crate, by module.
fn files() -> BTreeMap<Module, syn::File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let file = syn::parse_file(&text).expect("Rust");
                files.insert(module(path.strip_prefix(&root).expect("below src")), file);
            }
        }
    }
    assert!(
        files.len() > 100,
        "only {} files in {}",
        files.len(),
        root.display()
    );
    files
}

fn module(path: &Path) -> Module {
    let segments = path.with_extension("");
    let segments = segments.iter().map(|it| it.to_string_lossy().into_owned());
    segments.filter(|it| it != "lib" && it != "mod").collect()
}

/// The paths that a file names, and whether it holds `unsafe`.
#[derive(Default)]
struct Contents {
    /// Paths that begin with `crate`, `self`, `super` or a module of the file.
    paths: Vec<Vec<String>>,
    /// Names that the file re-exports, with the paths that they stand for.
    exports: BTreeMap<String, Vec<String>>,
    has_unsafe: bool,
}

impl Contents {
    fn of(file: &syn::File) -> Self {
        let mut contents = Self::default();
        contents.visit_file(file);
        contents
    }
}

/// The names that a `use` brings in, with their paths.
fn names(tree: &UseTree, before: &[String]) -> Vec<(String, Vec<String>)> {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => names(&path.tree, &with(&path.ident)),
        UseTree::Name(name) => vec![(name.ident.to_string(), with(&name.ident))],
        UseTree::Rename(name) => vec![(name.rename.to_string(), with(&name.ident))],
        UseTree::Glob(_) => vec![("*".into(), before.to_vec())],
        UseTree::Group(group) => {
            let trees = group.items.iter();
            trees.flat_map(|tree| names(tree, before)).collect()
        }
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    let is_test = |it: &Attribute| {
        it.path().is_ident("cfg")
            && it
                .parse_args::<syn::Ident>()
                .is_ok_and(|condition| condition == "test")
    };
    attributes.iter().any(is_test)
}

impl<'ast> Visit<'ast> for Contents {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(ItemMod { attrs, .. }) if is_test(attrs) => {}
            Item::Use(ItemUse { attrs, .. }) if is_test(attrs) => {}
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let names = names(&item.tree, &[]);
        match item.vis {
            Visibility::Inherited => self.paths.extend(names.into_iter().map(|(_, path)| path)),
            _ => self.exports.extend(names),
        }
    }

    // `pub(in path)` names a module and imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // One segment names a local thing, which may be called like a module.
        if path.segments.len() > 1 {
            let segments = path.segments.iter().map(|it| it.ident.to_string());
            self.paths.push(segments.collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_unsafe(&mut self, item: &'ast ExprUnsafe) {
        self.has_unsafe = true;
        visit::visit_expr_unsafe(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.has_unsafe |= item.sig.unsafety.is_some();
        visit::visit_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        self.has_unsafe |= item.unsafety.is_some();
        visit::visit_item_impl(self, item);
    }

    fn visit_foreign_item_fn(&mut self, item: &'ast ForeignItemFn) {
        self.has_unsafe = true;
        visit::visit_foreign_item_fn(self, item);
    }
}

/// The modules that each module imports, itself apart.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let files = files();
    let contents = files
        .iter()
        .map(|(module, file)| (module.clone(), Contents::of(file)));
    let contents: BTreeMap<_, _> = contents.collect();
    let imports = contents.iter().map(|(from, own)| {
        let targets = own
            .paths
            .iter()
            .filter_map(|path| target(from, path, &contents));
        (from.clone(), targets.filter(|to| to != from).collect())
    });
    imports.collect()
}

/// The file that defines what a path in module `from` leads to, past all re-exports.
fn target(from: &Module, path: &[String], files: &BTreeMap<Module, Contents>) -> Option<Module> {
    let mut to = from.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => {
            to.clear();
            rest = &path[1..];
        }
        "self" => rest = &path[1..],
        "super" => {
            while let Some("super") = rest.first().map(String::as_str) {
                to.pop();
                rest = &rest[1..];
            }
        }
        first => {
            let child = [from.as_slice(), &[first.to_owned()]].concat();
            if !files.contains_key(&child) {
                return None;
            }
        }
    }
    for (depth, segment) in rest.iter().enumerate() {
        let child = [to.as_slice(), slice::from_ref(segment)].concat();
        if files.contains_key(&child) {
            to = child;
        } else if let Some(path) = files.get(&to)?.exports.get(segment) {
            let path = [path.as_slice(), &rest[depth + 1..]].concat();
            return target(&to, &path, files);
        } else {
            break;
        }
    }
    Some(to)
}

/// The rows of the table "Layers" in docs/architecture.md, the highest first.
fn layers() -> Vec<Vec<String>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/architecture.md");
    let text = fs::read_to_string(path).expect("docs/architecture.md");
    let section = text
        .split("\n## Layers\n")
        .nth(1)
        .expect("a section Layers");
    let rows = section.lines().skip_while(|line| !line.starts_with("|---"));
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    let names = |row: &str| {
        let cell = row.split('|').nth(1).unwrap_or_default();
        let names = cell
            .split(',')
            .map(|name| name.trim().trim_matches('`').to_owned());
        names.collect::<Vec<_>>()
    };
    rows.map(names).collect()
}

fn written(module: &[String]) -> String {
    format!("crate::{}", module.join("::"))
}

#[test]
fn no_import_goes_up_the_layers() {
    let layers = layers();
    let height = |module: &Module| {
        let name = module.first()?;
        layers.iter().position(|row| row.contains(name))
    };
    let mut wrong = Vec::new();
    for (from, imported) in imports() {
        if from.is_empty() || from == ["main"] {
            continue;
        }
        let Some(own) = height(&from) else {
            wrong.push(format!("{} is in no layer", written(&from)));
            continue;
        };
        for to in imported {
            let goes_down = height(&to).is_some_and(|other| other > own);
            if !goes_down && to.first() != from.first() {
                wrong.push(format!("{} imports {}", written(&from), written(&to)));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports that do not go down:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_two_files_import_each_other() {
    let imports = imports();
    let reachable = |from: &Module| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<_> = imports[from].iter().collect();
        while let Some(module) = next.pop() {
            if seen.insert(module) {
                next.extend(imports.get(module).into_iter().flatten());
            }
        }
        seen
    };
    let reachable: BTreeMap<_, _> = imports.keys().map(|it| (it, reachable(it))).collect();
    let circle = |module: &Module| {
        let others = reachable[module].iter();
        let members = others.filter(|it| reachable.get(**it).is_some_and(|it| it.contains(module)));
        members.map(|it| written(it)).collect::<Vec<_>>()
    };
    let circles: BTreeSet<_> = imports
        .keys()
        .map(circle)
        .filter(|it| !it.is_empty())
        .collect();
    let circles: Vec<_> = circles.iter().map(|it| it.join(", ")).collect();
    assert!(
        circles.is_empty(),
        "files that import each other:\n{}",
        circles.join("\n")
    );
}

#[test]
fn unsafe_code_is_in_sys_only() {
    let files = files();
    let outside = files
        .iter()
        .filter(|(module, _)| module.first().is_none_or(|it| it != "sys"));
    let found = outside.filter(|(_, file)| Contents::of(file).has_unsafe);
    let found: Vec<_> = found.map(|(module, _)| written(module)).collect();
    assert!(
        found.is_empty(),
        "unsafe outside of sys:\n{}",
        found.join("\n")
    );
}
