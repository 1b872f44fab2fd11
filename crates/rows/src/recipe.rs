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

/// So many recipes are remembered, of some ten kilobytes each; then the oldest is forgotten.
const MOST: usize = 64;

/// A text never stands for another recipe, so nothing that is remembered grows old.
static READ: Mutex<VecDeque<(String, Arc<Recipe>)>> = Mutex::new(VecDeque::new());

impl Column for Arc<Recipe> {
    const NULL: Value<'static> = Value::Text(None);

    fn find(row: &dyn Columns, name: &'static str) -> Result<Option<Self>, StoreError> {
        let Some(text) = row.text(name)? else { return Ok(None) };
        if let Some(known) = known(text) {
            return Ok(Some(known));
        }
        let recipe: Self =
            serde_json::from_str(text).map(Self::new).map_err(|_| StoreError::Corrupt(name))?;
        remember(text, &recipe);
        Ok(Some(recipe))
    }

    fn value(&self) -> Result<Value<'_>, StoreError> {
        json(&**self).map(Value::word)
    }
}

fn known(text: &str) -> Option<Arc<Recipe>> {
    let read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    read.iter().find(|read| read.0 == text).map(|read| read.1.clone())
}

fn remember(text: &str, recipe: &Arc<Recipe>) {
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if read.len() >= MOST {
        read.pop_front();
    }
    read.push_back((text.to_owned(), recipe.clone()));
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
    }

    #[test]
    fn the_oldest_is_forgotten_and_what_cannot_be_read_is_not_remembered() {
        for i in 0..2 * MOST {
            let url = format!("https://p.example/many/{i}");
            assert_eq!(read(&url).token_url, url);
        }
        assert!(READ.lock().expect("no test panics").len() <= MOST);
        let broken = Arc::<Recipe>::read(&Text("{".into()), "recipe");
        assert!(matches!(broken, Err(StoreError::Corrupt("recipe"))));
        assert!(known("{").is_none());
    }
}
