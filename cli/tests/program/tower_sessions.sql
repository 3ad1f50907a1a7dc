-- Made by benches-compare/examples/tower_sessions_rows.rs. Above each row is what
-- tower-sessions-sqlx-store 0.15.0 reads from it.
-- WM6Px-GdN7RlNoJ8uWRfQQ {"axum-login.data":{"auth_hash":[0,127,250],"user_id":17}}
insert into session values ('WM6Px-GdN7RlNoJ8uWRfQQ', '\x93c410415f64b97c823665b4379de1c78fce5881af6178756d2d6c6f67696e2e6461746182a9617574685f6861736893007fccfaa7757365725f69641199cd0bb7cd016d173b3bce075bca00000000', '2999-12-31 23:59:59.123456Z');
-- _daQNYApDEY0LU41jN8jJg {"cart":[1,-2,18446744073709551615,0.1,true,null,{"":[]}],"slash/and~tilde":"\u0000\"\\","user":"Zoë"}
insert into session values ('_daQNYApDEY0LU41jN8jJg', '\x93c4102623df8c354e2d34460c29803590d6fd83a4636172749701fecfffffffffffffffffcb3fb999999999999ac3c081a090af736c6173682f616e647e74696c6465a300225ca475736572a45a6fc3ab99cd0bb70100000000000000', '2999-01-01 00:00:00Z');
-- ANMREDQljTZHiTIy7ccvmg {}
insert into session values ('ANMREDQljTZHiTIy7ccvmg', '\x93c4109a2fc7ed32328947368d25341011d3008099cd0bb70100000000000000', '2999-01-01 00:00:00Z');
-- yhjvsjQnJU5IyKgcaIGZ8Q null
insert into session values ('yhjvsjQnJU5IyKgcaIGZ8Q', '\x93c410f19981681ca8c8484e252734b2ef18ca81a475736572a4676f6e6599cd07e40100000000000000', '2020-01-01 00:00:00Z');
