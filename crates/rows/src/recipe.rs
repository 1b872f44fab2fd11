//! Recipes, which every release reads. To parse one takes longer than everything else that reading a row costs, so the
//! recipes that were read last are remembered by their whole text.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use alter_core::{Recipe, StoreError};

use crate::{
    Value,
    column::{Column, Columns},
    storable::json,
};

/// So many recipes are remembered, of some ten kilobytes each; then that which was not read for longest is forgotten.
const MOST: usize = 64;

static READ: Mutex<Read> = Mutex::new(Read { most: MOST, recipes: VecDeque::new() });

/// A text never stands for another recipe, so nothing that is remembered grows old.
struct Read {
    most: usize,
    /// The one that was read last is the last.
    recipes: VecDeque<(String, Arc<Recipe>)>,
}

impl Read {
    fn known(&mut self, text: &str) -> Option<Arc<Recipe>> {
        let at = self.recipes.iter().rposition(|(known, _)| known == text)?;
        let read = self.recipes.remove(at)?;
        let recipe = read.1.clone();
        self.recipes.push_back(read);
        Some(recipe)
    }

    fn remember(&mut self, text: &str, recipe: &Arc<Recipe>) {
        // Another thread may have read the same meanwhile.
        if self.known(text).is_some() {
            return;
        }
        if self.recipes.len() >= self.most {
            self.recipes.pop_front();
        }
        self.recipes.push_back((text.to_owned(), recipe.clone()));
    }
}

impl Column for Arc<Recipe> {
    const NULL: Value<'static> = Value::Text(None);

    fn find(row: &dyn Columns, name: &'static str) -> Result<Option<Self>, StoreError> {
        let Some(text) = row.text(name)? else { return Ok(None) };
        let read = || READ.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read().known(text) {
            return Ok(Some(known));
        }
        let recipe: Self =
            serde_json::from_str(text).map(Self::new).map_err(|_| StoreError::Corrupt(name))?;
        read().remember(text, &recipe);
        Ok(Some(recipe))
    }

    fn value(&self) -> Result<Value<'_>, StoreError> {
        json(&**self).map(Value::word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Text(String);

    impl Columns for Text {
        fn text(&self, _name: &'static str) -> Result<Option<&str>, StoreError> {
            Ok(Some(&self.0))
        }
        fn int(&self, name: &'static str) -> Result<Option<i64>, StoreError> {
            Err(StoreError::Corrupt(name))
        }
        fn bytes(&self, name: &'static str) -> Result<Option<&[u8]>, StoreError> {
            Err(StoreError::Corrupt(name))
        }
        fn flag(&self, name: &'static str) -> Result<Option<bool>, StoreError> {
            Err(StoreError::Corrupt(name))
        }
    }

    fn read(token_url: &str) -> Arc<Recipe> {
        let text = serde_json::json!({
            "id": "p", "name": "P", "authorize_url": "https://p.example/a", "token_url": token_url,
            "api_hosts": ["api.p.example"],
        });
        Arc::<Recipe>::read(&Text(text.to_string()), "recipe").expect("enough for a recipe")
    }

    #[test]
    fn a_recipe_is_parsed_once_and_one_that_differs_in_a_letter_is_another() {
        let first = read("https://p.example/token");
        assert!(Arc::ptr_eq(&first, &read("https://p.example/token")));
        assert_eq!(read("https://p.example/tokem").token_url, "https://p.example/tokem");
        let broken = Arc::<Recipe>::read(&Text("{".into()), "recipe");
        assert!(matches!(broken, Err(StoreError::Corrupt("recipe"))));
    }

    #[test]
    fn the_one_that_was_not_read_for_longest_is_forgotten() {
        let mut cache = Read { most: 2, recipes: VecDeque::new() };
        let recipes = ["a", "b", "c"].map(|path| read(&format!("https://p.example/{path}")));
        cache.remember("a", &recipes[0]);
        cache.remember("b", &recipes[1]);
        assert!(Arc::ptr_eq(&cache.known("a").expect("remembered"), &recipes[0]));
        cache.remember("a", &recipes[2]);
        assert!(Arc::ptr_eq(&cache.known("a").expect("remembered"), &recipes[0]), "once");
        cache.remember("c", &recipes[2]);
        let known = ["a", "b", "c"].map(|text| cache.known(text).is_some());
        assert_eq!(known, [true, false, true]);
    }
}
