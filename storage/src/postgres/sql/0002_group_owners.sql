-- How many groups an owner has, without looking at everybody's.
CREATE INDEX chat_group_owner ON chat_group (owner);
