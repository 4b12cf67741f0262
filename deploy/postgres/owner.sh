#!/bin/sh
# Run once by the image of PostgreSQL, when it has made an empty server: the owner of RAS's database is not a
# superuser, and the superuser has no password, so nobody logs in as it over the network.
set -eu
psql --no-psqlrc --set=ON_ERROR_STOP=1 --set=password="$POSTGRES_PASSWORD" --username=postgres --dbname=postgres <<'SQL'
CREATE ROLE ras LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE ras OWNER ras;
ALTER ROLE postgres PASSWORD NULL;
SQL
