#!/usr/bin/python3
"""Sets up a fresh Tryton 6.0 database as a freight carrier's ERP, without a
running server. Every step looks for its record by its business key first, so a
second run changes nothing. Called by sinktest with the distribution's Python.
"""
import argparse
import datetime as dt
import json
import warnings
from decimal import Decimal

warnings.simplefilter('ignore')

ap = argparse.ArgumentParser()
ap.add_argument('--config', required=True)
ap.add_argument('--database', required=True)
ap.add_argument('--company', required=True)
ap.add_argument('--company-code', required=True)
ap.add_argument('--today', required=True, help='the fiscal years are those around it')
ap.add_argument('--user', required=True)
ap.add_argument('--password', required=True)
args = ap.parse_args()

from proteus import Model, Wizard, config as proteus_config  # noqa: E402

config = proteus_config.set_trytond(args.database, config_file=args.config)

STATES = dict(x.split(':') for x in (
    'AL:Alabama AK:Alaska AZ:Arizona AR:Arkansas CA:California CO:Colorado '
    'CT:Connecticut DE:Delaware DC:District_of_Columbia FL:Florida GA:Georgia '
    'HI:Hawaii ID:Idaho IL:Illinois IN:Indiana IA:Iowa KS:Kansas KY:Kentucky '
    'LA:Louisiana ME:Maine MD:Maryland MA:Massachusetts MI:Michigan '
    'MN:Minnesota MS:Mississippi MO:Missouri MT:Montana NE:Nebraska NV:Nevada '
    'NH:New_Hampshire NJ:New_Jersey NM:New_Mexico NY:New_York '
    'NC:North_Carolina ND:North_Dakota OH:Ohio OK:Oklahoma OR:Oregon '
    'PA:Pennsylvania RI:Rhode_Island SC:South_Carolina SD:South_Dakota '
    'TN:Tennessee TX:Texas UT:Utah VT:Vermont VA:Virginia WA:Washington '
    'WV:West_Virginia WI:Wisconsin WY:Wyoming').split())
PROVINCES = dict(x.split(':') for x in (
    'AB:Alberta BC:British_Columbia MB:Manitoba NB:New_Brunswick '
    'NL:Newfoundland_and_Labrador NS:Nova_Scotia ON:Ontario '
    'PE:Prince_Edward_Island QC:Quebec SK:Saskatchewan').split())


def get(model, key, make=None, **values):
    """The record with this business key; made if there is none."""
    M = Model.get(model)
    found = M.find([(k, '=', v) for k, v in key.items()], limit=1)
    if found:
        return found[0]
    rec = M(**dict(key, **values))
    if make:
        make(rec)
    rec.save()
    return rec


def shipped(module, fs_id, model):
    data, = Model.get('ir.model.data').find(
        [('module', '=', module), ('fs_id', '=', fs_id)], limit=1)
    return Model.get(model)(data.db_id)


def places():
    Sub = Model.get('country.subdivision')
    for code, code3, name, subs, kind in (
            ('US', 'USA', 'United States', STATES, 'state'),
            ('CA', 'CAN', 'Canada', PROVINCES, 'province')):
        country = get('country.country', {'code': code}, name=name, code3=code3)
        have = {s.code for s in Sub.find([('country', '=', country.id)])}
        for k, v in subs.items():
            if '%s-%s' % (code, k) not in have:
                Sub(code='%s-%s' % (code, k), name=v.replace('_', ' '),
                    country=country, type=kind).save()
    get('country.country', {'code': 'MX'}, name='Mexico', code3='MEX')


def currencies():
    Rate = Model.get('currency.currency.rate')
    out = []
    for code, name, symbol, number, rate in (
            ('USD', 'U.S. Dollar', '$', '840', '1'),
            ('CAD', 'Canadian Dollar', 'C$', '124', '1.35')):
        cur = get('currency.currency', {'code': code}, name=name,
            symbol=symbol, numeric_code=number, rounding=Decimal('0.01'),
            digits=2)
        if not Rate.find([('currency', '=', cur.id)], limit=1):
            Rate(currency=cur, date=dt.date(2000, 1, 1),
                rate=Decimal(rate)).save()
        out.append(cur)
    return out


def make_company(usd):
    # The legacy customer number is the party's code: no sequence.
    conf = Model.get('party.configuration')(1)
    if conf.party_sequence:
        conf.party_sequence = None
        conf.save()
    Company = Model.get('company.company')
    if not Company.find([]):
        party = Model.get('party.party')(
            name=args.company, code=args.company_code)
        party.addresses[0].street = '1 Terminal Way'
        party.addresses[0].city = 'Dallas'
        party.addresses[0].country = get('country.country', {'code': 'US'})
        party.save()
        wizard = Wizard('company.company.config')
        wizard.execute('company')
        wizard.form.party = party
        wizard.form.currency = usd
        wizard.execute('add')
    company, = Company.find([])
    config._context = Model.get('res.user').get_preferences(
        True, config.context)
    return company


def chart(company):
    Account = Model.get('account.account')

    def of(kind):
        return Account.find([('type.' + kind, '=', True),
                ('company', '=', company.id)], limit=1)[0]

    if not Account.find([('company', '=', company.id)], limit=1):
        wizard = Wizard('account.create_chart')
        wizard.execute('account')
        wizard.form.account_template = shipped('account',
            'account_template_root_en', 'account.account.template')
        wizard.form.company = company
        wizard.execute('create_account')
        wizard.form.account_receivable = of('receivable')
        wizard.form.account_payable = of('payable')
        wizard.execute('create_properties')
    cash, = Account.find([('name', '=', 'Main Cash')], limit=1)
    tax, = Account.find([('name', '=', 'Main Tax')], limit=1)
    revenue, expense = of('revenue'), of('expense')
    for account, code in ((of('receivable'), '1200'), (of('payable'), '2000'),
            (revenue, '4000'), (expense, '5000'), (cash, '1000'),
            (tax, '2200')):
        if account.code != code:
            account.code = code
            account.save()
    revenues = {'4000': revenue}
    for code, name in (('4010', 'Fuel Surcharge Revenue'),
            ('4020', 'Accessorial Revenue')):
        found = Account.find(
            [('code', '=', code), ('company', '=', company.id)], limit=1)
        revenues[code] = found[0] if found else Account(Account.copy(
                [revenue.id], {'name': name, 'code': code},
                config.context)[0])
    return revenues, expense, cash, tax


def years(company):
    FiscalYear = Model.get('account.fiscalyear')
    Type = Model.get('ir.sequence.type')
    move_type, = Type.find([('name', '=', 'Account Move')], limit=1)
    invoice_type, = Type.find([('name', '=', 'Invoice')], limit=1)
    this = dt.date.fromisoformat(args.today).year
    for year in (this - 1, this, this + 1):
        if FiscalYear.find([('name', '=', str(year))], limit=1):
            continue
        fy = FiscalYear(name=str(year), company=company,
            start_date=dt.date(year, 1, 1), end_date=dt.date(year, 12, 31))
        fy.post_move_sequence = get('ir.sequence',
            {'name': 'Moves %d' % year}, sequence_type=move_type,
            company=company)

        def numbers(name, prefix):
            return get('ir.sequence.strict', {'name': '%s %d' % (name, year)},
                sequence_type=invoice_type, company=company,
                prefix=prefix + '-${year}-', padding=5)
        row, = fy.invoice_sequences
        row.out_invoice_sequence = numbers('Customer invoices', 'INV')
        row.out_credit_note_sequence = numbers('Customer credits', 'CRN')
        row.in_invoice_sequence = row.in_credit_note_sequence = numbers(
            'Supplier documents', 'SUP')
        fy.save()
        fy.click('create_period')


def taxes_and_terms(company, account):
    for name, rate in (('Sales tax 8.25%', '0.0825'), ('Exempt', '0')):
        get('account.tax', {'name': name}, description=name, company=company,
            type='percentage', rate=Decimal(rate), invoice_account=account,
            credit_note_account=account)
    for name, days in (('DUE ON RECEIPT', 0), ('NET 15', 15), ('NET 30', 30)):
        def lines(term, days=days):
            line = term.lines.new()
            line.type = 'remainder'
            if days:
                delta = (line.relativedeltas[0] if line.relativedeltas
                    else line.relativedeltas.new())
                delta.days = days
        get('account.invoice.payment_term', {'name': name}, lines)


def products(revenues, expense):
    unit, = Model.get('product.uom').find([('name', '=', 'Unit')], limit=1)
    Product = Model.get('product.product')
    Template = Model.get('product.template')
    for code, name, account in (('FRT', 'Freight', '4000'),
            ('FSC', 'Fuel surcharge', '4010'), ('DET', 'Detention', '4020'),
            ('LMP', 'Lumper', '4020'), ('ACC', 'Accessorial', '4020')):
        def accounting(category):
            category.accounting = True
            category.account_revenue = revenues[account]
            category.account_expense = expense
        category = get('product.category', {'name': 'Revenue ' + account},
            accounting)
        if Product.find([('code', '=', code)], limit=1):
            continue
        template = Template(name=name, code='', type='service',
            default_uom=unit, list_price=Decimal('0'),
            account_category=category)
        template.products[0].suffix_code = code
        template.save()


def user(login, name, groups, company):
    Group = Model.get('res.group')

    def rights(u):
        u.password = args.password
        u.companies.append(Model.get('company.company')(company.id))
        u.company = company
        for module, fs_id in groups:
            data, = Model.get('ir.model.data').find(
                [('module', '=', module), ('fs_id', '=', fs_id)], limit=1)
            u.groups.append(Group(data.db_id))
    get('res.user', {'login': login}, rights, name=name)


places()
usd, cad = currencies()
company = make_company(usd)
revenues, expense, cash, tax = chart(company)
years(company)
taxes_and_terms(company, tax)
products(revenues, expense)
cash_journal = Model.get('account.journal').find(
    [('type', '=', 'cash')], limit=1)[0]
get('account.invoice.payment.method', {'name': 'Cash'}, company=company,
    journal=cash_journal, credit_account=cash, debit_account=cash)
# The sync user has the groups that its work needs; nobody has none.
user(args.user, 'Waybill', [('account', 'group_account'),
        ('party', 'group_party_admin'), ('product', 'group_product_admin')],
    company)
user('nobody', 'No rights', [], company)
Item = Model.get('ir.module.config_wizard.item')
for item in Item.find([('state', '=', 'open')]):
    item.state = 'done'
    item.save()
print(json.dumps({'company': company.id}))
