//! Groups: stored rosters, who may extend them, and how far (CCP-1, Group Channels; decisions § 7).

use std::collections::BTreeMap;

use super::*;

const NOT_ALLOWED: Result<Reply, StoreError> = Err(StoreError::NotAllowed);

fn group(name: &str) -> GroupId {
    GroupId::parse(name).expect("a group id of the suite")
}

/// A roster of `owner` and others.
fn roster(owner: &str, others: &[(&str, Role)]) -> GroupRoster {
    let others = others.iter().map(|(id, role)| (device(id), *role));
    GroupRoster {
        owner: device(owner),
        members: others.chain([(device(owner), Role::Owner)]).collect(),
        relay: true,
        version: 1,
    }
}

fn create(name: &str, roster: &GroupRoster) -> Request {
    create_up_to(name, roster, 1_000)
}

fn create_up_to(name: &str, roster: &GroupRoster, limit: u32) -> Request {
    Request::Group(GroupRequest::Create {
        group: group(name),
        roster: roster.clone(),
        limit,
        at: NOW,
    })
}

fn load(name: &str) -> Request {
    Request::Group(GroupRequest::Load { group: group(name) })
}

fn invite(name: &str, by: &str, id: &str, role: Role) -> Request {
    invite_up_to(name, by, id, role, 100_000)
}

fn invite_up_to(name: &str, by: &str, id: &str, role: Role, limit: usize) -> Request {
    Request::Group(GroupRequest::Invite(Invitation {
        group: group(name),
        by: device(by),
        device: device(id),
        role,
        limit,
        at: NOW,
    }))
}

fn stored(roster: &GroupRoster) -> Result<Reply, StoreError> {
    Ok(Reply::Roster(roster.clone()))
}

fn invited(role: Role, version: u64) -> Result<Reply, StoreError> {
    Ok(Reply::Invited(Invited { role, version }))
}

/// See its name.
pub async fn a_created_group_is_there_after_reopening(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let first = roster("ada", &[("bob", Role::Admin), ("eve@elsewhere.example", Role::Member)]);
    let second = GroupRoster {
        relay: false,
        ..roster("bob", &[])
    };
    let batch = vec![create("g", &first), create("gg", &second), load("g"), load("none")];
    let unknown = Err(StoreError::UnknownGroup);
    let expected = [stored(&first), stored(&second), stored(&first), unknown.clone()];
    assert_eq!(store.execute(batch).await, expected);
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    assert_eq!(one(&store, load("g")).await, stored(&first));
    assert_eq!(one(&store, load("gg")).await, stored(&second));
    assert_eq!(one(&store, load("ggg")).await, unknown);
}

/// See its name.
pub async fn creating_again_gives_the_owner_the_stored_roster_and_changes_nothing(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let first = roster("ada", &[("bob", Role::Admin)]);
    let other = GroupRoster {
        relay: false,
        ..roster("ada", &[("eve", Role::Admin)])
    };
    assert_eq!(one(&store, create("g", &first)).await, stored(&first));
    let joined = invite("g", "ada", "zoe", Role::Member);
    assert_eq!(one(&store, joined).await, invited(Role::Member, 2));
    let mut now = first.clone();
    now.members.insert(device("zoe"), Role::Member);
    now.version = 2;
    assert_eq!(one(&store, create("g", &other)).await, stored(&now));
    assert_eq!(one(&store, load("g")).await, stored(&now));
}

/// See its name.
pub async fn nobody_creates_a_group_of_somebody_else(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let first = roster("ada", &[("bob", Role::Admin)]);
    let answers = store
        .execute(vec![
            create("g", &first),
            create("g", &roster("bob", &[])),
            create("g", &roster("eve", &[("ada", Role::Member)])),
            load("g"),
        ])
        .await;
    assert_eq!(answers, [stored(&first), NOT_ALLOWED, NOT_ALLOWED, stored(&first)]);
}

/// See its name.
pub async fn an_owner_has_so_many_groups_and_no_more(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let (hers, his) = (roster("ada", &[("bob", Role::Admin)]), roster("bob", &[]));
    let full = Err(StoreError::TooManyGroups);
    // A batch counts what it has made itself.
    let answers = store
        .execute(vec![
            create_up_to("a", &hers, 2),
            create_up_to("b", &hers, 2),
            create_up_to("c", &hers, 2),
            create_up_to("d", &his, 2),
        ])
        .await;
    assert_eq!(answers, [stored(&hers), stored(&hers), full.clone(), stored(&his)]);
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    let answers = store
        .execute(vec![
            create_up_to("c", &hers, 2),
            // To have one, or not to have it, is no question of how many.
            create_up_to("a", &hers, 2),
            create_up_to("d", &hers, 2),
            create_up_to("c", &hers, 3),
            create_up_to("e", &his, 0),
            load("e"),
        ])
        .await;
    let expected = [
        full.clone(),
        stored(&hers),
        NOT_ALLOWED,
        stored(&hers),
        full,
        Err(StoreError::UnknownGroup),
    ];
    assert_eq!(answers, expected);
}

/// See its name.
pub async fn owners_and_admins_extend_the_roster_and_nobody_else(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let mut now = roster("ada", &[("bob", Role::Admin), ("eve", Role::Member)]);
    assert_eq!(one(&store, create("g", &now)).await, stored(&now));
    let answers = store
        .execute(vec![
            invite("g", "ada", "d1", Role::Member),
            invite("g", "bob", "d2", Role::Admin),
            invite("g", "d2", "d3", Role::Member),
            invite("g", "eve", "d4", Role::Member),
            invite("g", "nobody", "d4", Role::Member),
            invite("g", "d4", "d4", Role::Member),
            invite("none", "ada", "d4", Role::Member),
        ])
        .await;
    let expected = [
        invited(Role::Member, 2),
        invited(Role::Admin, 3),
        invited(Role::Member, 4),
        NOT_ALLOWED,
        NOT_ALLOWED,
        NOT_ALLOWED,
        Err(StoreError::UnknownGroup),
    ];
    assert_eq!(answers, expected);
    for (id, role) in [("d1", Role::Member), ("d2", Role::Admin), ("d3", Role::Member)] {
        now.members.insert(device(id), role);
    }
    now.version = 4;
    assert_eq!(one(&store, load("g")).await, stored(&now));
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    assert_eq!(one(&store, load("g")).await, stored(&now));
}

/// See its name.
pub async fn only_the_owner_changes_a_role_and_nobody_the_owners(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let mut now = roster("ada", &[("bob", Role::Admin), ("eve", Role::Member)]);
    assert_eq!(one(&store, create("g", &now)).await, stored(&now));
    let answers = store
        .execute(vec![
            invite("g", "bob", "eve", Role::Admin),
            invite("g", "bob", "bob", Role::Member),
            invite("g", "bob", "ada", Role::Member),
            invite("g", "ada", "ada", Role::Member),
            invite("g", "ada", "eve", Role::Admin),
            invite("g", "ada", "eve", Role::Admin),
            invite("g", "ada", "bob", Role::Member),
            invite("g", "bob", "d1", Role::Member),
        ])
        .await;
    let expected = [
        invited(Role::Member, 1),
        invited(Role::Admin, 1),
        invited(Role::Owner, 1),
        invited(Role::Owner, 1),
        invited(Role::Admin, 2),
        invited(Role::Admin, 2),
        invited(Role::Member, 3),
        NOT_ALLOWED,
    ];
    assert_eq!(answers, expected);
    now.members.insert(device("eve"), Role::Admin);
    now.members.insert(device("bob"), Role::Member);
    now.version = 3;
    assert_eq!(one(&store, load("g")).await, stored(&now));
}

/// See its name.
pub async fn nobody_is_made_owner(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let now = roster("ada", &[("eve", Role::Member)]);
    assert_eq!(one(&store, create("g", &now)).await, stored(&now));
    let batch = vec![
        invite("g", "ada", "eve", Role::Owner),
        invite("g", "eve", "bob", Role::Owner),
    ];
    let answers = store.execute(batch).await;
    assert_eq!(answers, [invited(Role::Admin, 2), invited(Role::Admin, 3)]);
}

/// See its name.
pub async fn a_full_group_takes_no_more_members_and_still_changes_roles(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let now = roster("ada", &[("eve", Role::Member)]);
    assert_eq!(one(&store, create("g", &now)).await, stored(&now));
    let answers = store
        .execute(vec![
            invite_up_to("g", "ada", "d1", Role::Member, 2),
            invite_up_to("g", "ada", "d1", Role::Member, 3),
            invite_up_to("g", "ada", "d2", Role::Member, 3),
            invite_up_to("g", "ada", "eve", Role::Admin, 3),
            invite_up_to("g", "ada", "d1", Role::Member, 3),
        ])
        .await;
    let full = Err(StoreError::GroupFull);
    let expected = [
        full.clone(),
        invited(Role::Member, 2),
        full.clone(),
        invited(Role::Admin, 3),
        invited(Role::Member, 3),
    ];
    assert_eq!(answers, expected);
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    assert_eq!(one(&store, invite_up_to("g", "ada", "d2", Role::Member, 3)).await, full);
}

/// See its name.
pub async fn groups_of_similar_names_are_kept_apart(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let names = ["g", "g ", "g!", "gg", "G"];
    for name in names {
        let created = roster("ada", &[(&format!("of-{}", name.len()), Role::Member)]);
        assert_eq!(one(&store, create(name, &created)).await, stored(&created));
    }
    for name in names {
        let expected = roster("ada", &[(&format!("of-{}", name.len()), Role::Member)]);
        assert_eq!(one(&store, load(name)).await, stored(&expected), "{name}");
    }
}

/// See its name.
pub async fn a_group_of_ten_thousand_is_kept_whole(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let mut members: BTreeMap<_, _> = (0..9_999)
        .map(|n| (device(&format!("member-{n:05}@elsewhere.example")), Role::Member))
        .collect();
    members.insert(device("ada"), Role::Owner);
    let mut large = GroupRoster {
        members,
        ..roster("ada", &[])
    };
    assert_eq!(one(&store, create("g", &large)).await, stored(&large));
    let joined = invite_up_to("g", "ada", "last", Role::Admin, 10_001);
    assert_eq!(one(&store, joined).await, invited(Role::Admin, 2));
    let one_more = invite_up_to("g", "ada", "too-late", Role::Admin, 10_001);
    assert_eq!(one(&store, one_more).await, Err(StoreError::GroupFull));
    large.members.insert(device("last"), Role::Admin);
    large.version = 2;
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    assert!(one(&store, load("g")).await == stored(&large), "the roster differs");
}
