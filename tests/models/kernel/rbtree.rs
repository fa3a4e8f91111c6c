// SPDX-License-Identifier: GPL-2.0

//! Trees.

use crate::alloc::Flags;
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// A tree.
pub struct RBTree<K, V>(BTreeMap<K, V>);

/// Memory for a node.
pub struct RBTreeNodeReservation<K, V>(PhantomData<(K, V)>);

/// A node that is in no tree.
pub struct RBTreeNode<K, V>(K, V);

/// A place in a tree.
pub struct CursorMut<'a, K, V> {
    tree: &'a mut BTreeMap<K, V>,
    key: K,
}

impl<K, V> RBTreeNodeReservation<K, V> {
    pub fn new(_: Flags) -> crate::error::Result<Self> {
        Ok(Self(PhantomData))
    }

    pub fn into_node(self, key: K, value: V) -> RBTreeNode<K, V> {
        RBTreeNode(key, value)
    }
}

impl<K, V> RBTreeNode<K, V> {
    pub fn to_key_value(self) -> (K, V) {
        (self.0, self.1)
    }
}

impl<K: Ord + Copy, V> RBTree<K, V> {
    pub fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub fn insert(&mut self, node: RBTreeNode<K, V>) -> Option<RBTreeNode<K, V>> {
        let RBTreeNode(key, value) = node;
        let before = self.0.insert(key, value);
        before.map(|value| RBTreeNode(key, value))
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    pub fn remove_node(&mut self, key: &K) -> Option<RBTreeNode<K, V>> {
        self.0
            .remove_entry(key)
            .map(|(key, value)| RBTreeNode(key, value))
    }

    pub fn cursor_lower_bound_mut(&mut self, key: &K) -> Option<CursorMut<'_, K, V>> {
        let (&key, _) = self.0.range(key..).next()?;
        Some(CursorMut {
            tree: &mut self.0,
            key,
        })
    }
}

impl<'a, K: Ord + Copy, V> CursorMut<'a, K, V> {
    pub fn current(&self) -> (&K, &V) {
        let value = self.tree.get(&self.key).expect("a node");
        (&self.key, value)
    }

    /// The nodes beside it are of no use yet.
    pub fn remove_current(self) -> (Option<Self>, RBTreeNode<K, V>) {
        let (key, value) = self.tree.remove_entry(&self.key).expect("a node");
        (None, RBTreeNode(key, value))
    }
}
