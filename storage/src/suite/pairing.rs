//! Pairing codes (decisions § 10): one use, five wrong tries.

use super::accounts::{account, devices_of, revoke};
use super::*;

const DONE: Result<Reply, StoreError> = Ok(Reply::Done);
const REFUSED: Result<Reply, StoreError> = Err(StoreError::PairingRefused);
const RIGHT: [u8; 32] = [1; 32];
const WRONG: [u8; 32] = [2; 32];

fn selector(n: u64) -> Selector {
    Selector(n.to_be_bytes())
}

fn offer_of(n: u64, issuer: &str, user: &str) -> PairingOffer {
    PairingOffer {
        selector: selector(n),
        secret: RIGHT,
        user: profile(user).id,
        issuer: device(issuer),
        issued_at: NOW,
        expires_at: LATER,
    }
}

fn offer(n: u64, id: &str) -> Request {
    account(AccountRequest::OfferPairing(offer_of(n, id, id)))
}

fn claim_at(n: u64, secret: [u8; 32], id: &str, at: Wall) -> Request {
    account(AccountRequest::ClaimPairing(PairingClaim {
        selector: selector(n),
        secret,
        device: device(id),
        static_key: key(id),
        at,
    }))
}

fn claim(n: u64, id: &str) -> Request {
    claim_at(n, RIGHT, id, NOW)
}

fn guess(n: u64) -> Request {
    claim_at(n, WRONG, "guesser", NOW)
}

fn paired(issuer: &str) -> Result<Reply, StoreError> {
    Ok(Reply::Paired(Paired {
        issuer: device(issuer),
        user: profile(issuer),
    }))
}

/// See its name.
pub async fn a_code_brings_one_device_into_the_profile(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    assert_eq!(one(&store, offer(1, "ada")).await, DONE);
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    assert_eq!(one(&store, claim(1, "phone")).await, paired("ada"));
    assert_eq!(one(&store, claim(1, "other")).await, REFUSED, "it has been used");
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    let expected = Device {
        static_key: key("phone"),
        user: profile("ada"),
        revoked: false,
    };
    assert_eq!(known(&store, "phone").await, Some(expected));
    assert_eq!(known(&store, "other").await, None);
    let names: Vec<_> = devices_of(&store, "ada")
        .await
        .into_iter()
        .map(|one| one.device)
        .collect();
    assert_eq!(names, [device("ada"), device("phone")]);
    assert_eq!(one(&store, claim(1, "other")).await, REFUSED);
}

/// See its name.
pub async fn of_claims_of_one_code_in_a_batch_exactly_one_wins(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let batch = vec![offer(1, "ada"), claim(1, "d1"), claim(1, "d2"), claim(1, "d3")];
    let answers = store.execute(batch).await;
    assert_eq!(answers[0], DONE);
    let won = answers[1..].iter().filter(|answer| **answer == paired("ada"));
    assert_eq!(won.count(), 1, "{answers:?}");
    assert_eq!(devices_of(&store, "ada").await.len(), 2);
}

/// See its name.
pub async fn four_wrong_secrets_leave_a_code_good(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    assert_eq!(one(&store, offer(1, "ada")).await, DONE);
    for _ in 1..PAIRING_TRIES {
        assert_eq!(one(&store, guess(1)).await, REFUSED);
    }
    assert_eq!(one(&store, claim(1, "phone")).await, paired("ada"));
    assert_eq!(known(&store, "guesser").await, None);
}

/// See its name.
pub async fn the_fifth_wrong_secret_ends_a_code(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    assert_eq!(
        store.execute(vec![offer(1, "ada"), offer(2, "ada")]).await,
        [DONE, DONE]
    );
    let mut batch = vec![guess(1); PAIRING_TRIES as usize];
    batch.push(claim(1, "phone"));
    assert!(store.execute(batch).await.iter().all(|answer| *answer == REFUSED));
    assert_eq!(
        one(&store, claim(2, "phone")).await,
        paired("ada"),
        "each code for itself"
    );
}

/// See its name.
pub async fn wrong_secrets_count_across_reopening(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    assert_eq!(one(&store, offer(1, "ada")).await, DONE);
    drop(store);
    for _ in 0..PAIRING_TRIES {
        let store = place.open(InboxLimits::default()).await;
        assert_eq!(one(&store, guess(1)).await, REFUSED);
    }
    let store = place.open(InboxLimits::default()).await;
    assert_eq!(one(&store, claim(1, "phone")).await, REFUSED);
    assert_eq!(known(&store, "phone").await, None);
}

/// See its name.
pub async fn a_code_is_worth_nothing_from_its_end_on(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    assert_eq!(
        store.execute(vec![offer(1, "ada"), offer(2, "ada")]).await,
        [DONE, DONE]
    );
    assert_eq!(one(&store, claim_at(1, RIGHT, "phone", LATER)).await, REFUSED);
    let before = Wall(LATER.0 - 1);
    assert_eq!(one(&store, claim_at(2, RIGHT, "phone", before)).await, paired("ada"));
    assert_eq!(one(&store, claim(3, "other")).await, REFUSED, "never offered");
}

/// See its name.
pub async fn claiming_for_a_known_device_leaves_the_code_as_it_was(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    found(&store, "bob").await;
    assert_eq!(one(&store, offer(1, "ada")).await, DONE);
    let exists = Err(StoreError::DeviceExists);
    for _ in 0..2 * PAIRING_TRIES {
        assert_eq!(one(&store, claim(1, "bob")).await, exists);
    }
    assert_eq!(
        known(&store, "bob").await.map(|device| device.user),
        Some(profile("bob"))
    );
    assert_eq!(one(&store, claim(1, "phone")).await, paired("ada"));
}

/// See its name.
pub async fn a_user_has_so_many_open_codes(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    found(&store, "bob").await;
    let many = CODES_PER_USER as u64;
    let batch = (0..=many).map(|n| offer(n, "ada")).collect();
    let answers = store.execute(batch).await;
    let (last, first) = answers.split_last().expect("answers");
    assert!(first.iter().all(|answer| *answer == DONE), "{first:?}");
    assert_eq!(*last, Err(StoreError::TooManyCodes));
    assert_eq!(one(&store, claim(many, "d1")).await, REFUSED, "it was not offered");
    assert_eq!(one(&store, offer(many, "bob")).await, DONE, "bob has none");
    assert_eq!(one(&store, claim(0, "d1")).await, paired("ada"));
    let batch = vec![offer(many + 1, "ada"), offer(many + 2, "ada")];
    assert_eq!(store.execute(batch).await, [DONE, Err(StoreError::TooManyCodes)]);
    let later = PairingOffer {
        issued_at: LATER,
        expires_at: Wall(LATER.0 + 1),
        ..offer_of(many + 3, "ada", "ada")
    };
    let later = account(AccountRequest::OfferPairing(later));
    assert_eq!(one(&store, later).await, DONE, "the others have expired");
}

/// See its name.
pub async fn only_a_device_of_the_user_offers_a_code(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    found(&store, "bob").await;
    let offered = |issuer, user| account(AccountRequest::OfferPairing(offer_of(1, issuer, user)));
    let unknown = Err(StoreError::UnknownDevice);
    assert_eq!(one(&store, offered("nobody", "ada")).await, unknown);
    assert_eq!(one(&store, offered("bob", "ada")).await, unknown);
    assert_eq!(one(&store, revoke("bob", "bob", NOW)).await, DONE);
    assert_eq!(one(&store, offered("bob", "bob")).await, Err(StoreError::DeviceRevoked));
    assert_eq!(one(&store, claim(1, "phone")).await, REFUSED);
}

/// See its name.
pub async fn a_revoked_device_takes_its_codes_with_it(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let batch = vec![offer(1, "ada"), claim(1, "thief"), offer(2, "ada")];
    assert_eq!(store.execute(batch).await, [DONE, paired("ada"), DONE]);
    let stolen = account(AccountRequest::OfferPairing(offer_of(3, "thief", "ada")));
    let batch = vec![stolen, revoke("ada", "thief", NOW), claim(3, "again")];
    assert_eq!(store.execute(batch).await, [DONE, DONE, REFUSED]);
    assert_eq!(known(&store, "again").await, None);
    assert_eq!(one(&store, claim(2, "phone")).await, paired("ada"), "ada's own is good");
}

/// See its name.
pub async fn upkeep_leaves_live_codes_alone(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let over = PairingOffer {
        expires_at: Wall(NOW.0 + 1),
        ..offer_of(1, "ada", "ada")
    };
    let over = account(AccountRequest::OfferPairing(over));
    assert_eq!(store.execute(vec![over, offer(2, "ada")]).await, [DONE, DONE]);
    for _ in 0..8 {
        store.upkeep(Wall(NOW.0 + 1)).await;
    }
    assert_eq!(one(&store, claim_at(1, RIGHT, "d1", Wall(NOW.0 + 1))).await, REFUSED);
    assert_eq!(one(&store, claim(2, "d1")).await, paired("ada"));
}
