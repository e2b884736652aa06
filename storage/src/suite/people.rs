//! Devices, profiles and handles.

use super::*;

/// See its name.
pub async fn a_founded_device_is_known_with_its_key_and_profile(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let expected = Device {
        static_key: key("ada"),
        user: profile("ada"),
        revoked: false,
    };
    assert_eq!(known(&store, "ada").await, Some(expected));
    assert_eq!(
        one(&store, lookup("nobody", Some("ada"), Some("ada"))).await,
        Ok(Reply::Found {
            device: None,
            user: Some(profile("ada")),
            handle_taken: true
        })
    );
}

/// See its name.
pub async fn nobody_is_known_who_was_not_founded(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    assert_eq!(
        one(&store, lookup("ad", Some("ad"), Some("ad"))).await,
        Ok(Reply::Found {
            device: None,
            user: None,
            handle_taken: false
        })
    );
}

/// See its name.
pub async fn what_was_founded_is_there_after_reopening(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let before = known(&store, "ada").await;
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    assert!(before.is_some());
    assert_eq!(known(&store, "ada").await, before);
    let again = one(&store, founding("bob", profile("ada"))).await;
    assert_eq!(again, Err(StoreError::HandleTaken));
    found(&store, "bob").await;
}

/// See its name.
pub async fn a_handle_belongs_to_one_profile(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let other = Profile {
        handle: handle("ada"),
        ..profile("bob")
    };
    assert_eq!(one(&store, founding("bob", other)).await, Err(StoreError::HandleTaken));
    found(&store, "bob").await;
}

/// See its name.
pub async fn of_foundings_with_one_handle_in_a_batch_exactly_one_wins(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let names = ["d0", "d1", "d2", "d3"];
    let batch = names.map(|name| {
        founding(
            name,
            Profile {
                handle: handle("wanted"),
                ..profile(name)
            },
        )
    });
    let answers = store.execute(batch.to_vec()).await;
    let won: Vec<_> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(won.iter().filter(|won| **won).count(), 1, "{answers:?}");
    for (name, (won, answer)) in names.iter().zip(won.iter().zip(&answers)) {
        assert_eq!(known(&store, name).await.is_some(), *won, "{name}");
        assert!(*won || *answer == Err(StoreError::HandleTaken), "{answer:?}");
    }
}

/// See its name.
pub async fn of_foundings_of_one_device_in_a_batch_exactly_one_wins(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let batch = vec![founding("ada", profile("first")), founding("ada", profile("second"))];
    let answers = store.execute(batch).await;
    assert_eq!(answers, [Ok(Reply::Done), Err(StoreError::DeviceExists)]);
    assert_eq!(
        known(&store, "ada").await.map(|device| device.user),
        Some(profile("first"))
    );
}

/// See its name.
pub async fn a_refused_founding_leaves_nothing_behind(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let taken = Profile {
        handle: handle("ada"),
        ..profile("bob")
    };
    let batch = vec![founding("bob", taken), founding("ada", profile("eve"))];
    let answers = store.execute(batch).await;
    assert_eq!(answers, [Err(StoreError::HandleTaken), Err(StoreError::DeviceExists)]);
    for name in ["bob", "eve"] {
        assert_eq!(
            one(&store, lookup(name, Some(name), Some(name))).await,
            Ok(Reply::Found {
                device: None,
                user: None,
                handle_taken: false
            }),
            "{name}"
        );
        found(&store, name).await;
    }
}

/// See its name.
pub async fn a_lookup_sees_what_its_batch_did_before_it(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let renamed = Profile {
        display_name: Some("Countess".into()),
        ..profile("ada")
    };
    let answers = store
        .execute(vec![
            lookup("ada", Some("ada"), Some("ada")),
            founding("ada", profile("ada")),
            lookup("ada", Some("ada"), Some("ada")),
            Request::UpdateProfile {
                profile: renamed.clone(),
            },
            lookup("ada", Some("ada"), None),
        ])
        .await;
    let seen = |user: Profile, handle_taken| {
        let device = Device {
            static_key: key("ada"),
            user: user.clone(),
            revoked: false,
        };
        Ok(Reply::Found {
            device: Some(device),
            user: Some(user),
            handle_taken,
        })
    };
    let nothing = Ok(Reply::Found {
        device: None,
        user: None,
        handle_taken: false,
    });
    assert_eq!(answers[0], nothing);
    assert_eq!(answers[2], seen(profile("ada"), true));
    assert_eq!(answers[4], seen(renamed, false));
}

/// See its name.
pub async fn an_updated_profile_keeps_its_handle(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let renamed = Profile {
        display_name: Some("Countess".into()),
        handle: handle("eve"),
        ..profile("ada")
    };
    let update = Request::UpdateProfile {
        profile: renamed.clone(),
    };
    assert_eq!(one(&store, update).await, Ok(Reply::Done));
    let expected = Profile {
        handle: handle("ada"),
        ..renamed
    };
    assert_eq!(known(&store, "ada").await.map(|device| device.user), Some(expected));
    found(&store, "eve").await;
}

/// See its name.
pub async fn an_unknown_profile_is_not_updated(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let answer = one(
        &store,
        Request::UpdateProfile {
            profile: profile("ada"),
        },
    )
    .await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    found(&store, "ada").await;
}

/// See its name.
pub async fn optional_texts_can_be_set_and_cleared(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let avatar = Some("https://example.org/ä.png".to_owned());
    let changed = Profile {
        display_name: None,
        avatar_url: avatar,
        ..profile("ada")
    };
    let update = Request::UpdateProfile {
        profile: changed.clone(),
    };
    assert_eq!(one(&store, update).await, Ok(Reply::Done));
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    assert_eq!(known(&store, "ada").await.map(|device| device.user), Some(changed));
}
